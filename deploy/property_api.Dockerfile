# The example service. Built from the root of the repository:
#
#   docker build -f deploy/property_api.Dockerfile -t property_api .
FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --release -p property_api && cp target/release/property_api /property_api

FROM debian:12.13-slim
# The authorities that sign the certificates of managed servers (rediss://).
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /property_api /usr/local/bin/property_api
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 8080
# Its database is made in /tmp, in seconds.
ENTRYPOINT ["property_api", "--address", "0.0.0.0"]
