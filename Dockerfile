# Targets: server (the default: neumf-server and neumfctl, without LibTorch),
# trainer, and a Prometheus from Debian's package for deploy/compose.yaml.

FROM debian:12-slim AS build
WORKDIR /src
COPY scripts/setup scripts/
RUN scripts/setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DNEUMF_BUILD_TESTS=OFF -DNEUMF_BUILD_BENCHMARKS=OFF \
 && cmake --build --preset release --target programs \
 && strip build/release/bin/*

FROM debian:12-slim AS prometheus
RUN apt-get update && apt-get install -y --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*
USER prometheus
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/prometheus"]

FROM debian:12-slim AS trainer
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      libabsl20220623 libgoogle-glog0v6 libhwy1 libopenblas0-pthread libssl3 libtorch1.13 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/bin/neumf-train /usr/bin/
USER 65532:65532
ENTRYPOINT ["neumf-train"]

FROM debian:12-slim AS server
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      libabsl20220623 libgnutls30 libgrpc++1.51 libgrpc29 libhwy1 libmicrohttpd12 \
      libprometheus-cpp-core1.0 libprotobuf32 libssl3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/bin/neumf-server /src/build/release/bin/neumfctl /usr/bin/
# For --state_dir; a volume that is mounted there takes its owner over.
RUN install -d -o 65532 -g 65532 /var/lib/neumf
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["neumfctl", "health", "--server", "127.0.0.1:50051"]
ENTRYPOINT ["neumf-server"]
