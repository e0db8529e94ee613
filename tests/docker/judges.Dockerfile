# nginx and Prometheus from Debian judge our configuration of them: a file that they refuse fails the build.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends nginx-light openssl prometheus
COPY docker/secrets.sh /opt/judges/secrets.sh
COPY docker/proxy/nginx.conf /etc/curia-nginx.conf
RUN sh /opt/judges/secrets.sh pacs.example && mkdir -p /run/secrets \
    && cp /opt/judges/secrets/tls.crt /run/secrets/tls_certificate && cp /opt/judges/secrets/tls.key /run/secrets/tls_key
RUN echo "127.0.0.1 orthanc grafana" >> /etc/hosts && nginx -t -c /etc/curia-nginx.conf
COPY docker/prometheus/prometheus.yml docker/prometheus/alerts.yml tests/docker/alerts.test.yml /etc/prometheus/
RUN promtool check config /etc/prometheus/prometheus.yml && promtool test rules /etc/prometheus/alerts.test.yml
USER www-data
CMD ["nginx", "-v"]
