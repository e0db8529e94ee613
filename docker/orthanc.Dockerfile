# Debian's Orthanc with its Python plugin, the one that the tests run on, and the two files of ours that it loads.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-python orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/*
COPY orthanc_plugin/plugin.py orthanc_plugin/button.js /opt/curia/
RUN install --directory --owner orthanc /var/lib/orthanc/db
USER orthanc
EXPOSE 8042 4242
CMD ["/usr/sbin/Orthanc", "/etc/curia-orthanc.json"]
