# Debian's Orthanc with its Python plugin, the one that the tests run on, and the two files of ours that it loads.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
LABEL org.opencontainers.image.title="curia-pacs-orthanc" \
      org.opencontainers.image.description="Debian's Orthanc with the plugin of curia-pacs. Research use only." \
      org.opencontainers.image.licenses="AGPL-3.0-or-later AND GPL-3.0-or-later"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-python orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/*
COPY orthanc_plugin/plugin.py orthanc_plugin/button.js /opt/curia/
RUN install --directory /etc/curia-orthanc && install --directory --owner orthanc --group orthanc /var/lib/orthanc/db
USER orthanc
EXPOSE 8042 4242
# A folder: what may be read by everybody, and beside it the users and the token.
CMD ["/usr/sbin/Orthanc", "/etc/curia-orthanc"]
