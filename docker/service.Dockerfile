# The service with the pipeline; Orthanc's image needs no more than plugin.py and button.js.
FROM python:3.11-slim-bookworm
WORKDIR /opt/curia-pacs
COPY docker/install-locked.sh requirements.lock requirements-torch.lock requirements-cuda.lock /tmp/
RUN /tmp/install-locked.sh python /tmp --no-cache-dir
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY operators operators
COPY orthanc_plugin orthanc_plugin
COPY trainer trainer
# A named volume takes its owner from this folder when it is first used.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && useradd --system --create-home curia \
    && install --directory --owner curia --mode 700 /var/lib/curia-pacs
USER curia
EXPOSE 8790
CMD ["curia-orthanc"]
