/**
 * Health checks of the emulators whose ports Sluice can take, so that what waits for one of them, such as a compose file,
 * finds what it waits for. `/health` was LocalStack's in its first versions. Our own are `/livez` and `/readyz`.
 * @see https://docs.localstack.cloud/references/internal-endpoints/
 */

export const healthPaths = ['/_localstack/health', '/health'];

/** Once the server listens it can do all that it does; the one service is spelled as scripts look for it. */
export const emulatorHealth = { services: { sqs: 'running' } } as const;
