# Two stages: the first compiles, the second holds what runs. Nothing needs a shell or a compiler at run time, and
# nothing but /data is written, so the root file system can be read-only.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json rolldown.config.ts ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
RUN install -d -m 0700 -o 10001 -g 10001 /data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 SLUICE_HOST=0.0.0.0 SLUICE_DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["node", "dist/cli/index.js", "healthcheck"]
ENTRYPOINT ["node", "--max-semi-space-size=4", "dist/cli/index.js"]
CMD ["serve"]
