/**
 * The API reference as a page. Everything it needs comes from here, so it works without the internet.
 *
 * The package is large (megabytes of script) and few servers are asked for it: it is loaded with the first request, into
 * an instance of its own that never listens.
 */
import helmet from '@fastify/helmet';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';

/** The reference starts itself with an inline script and brings its styles inline. */
const contentPolicy = {
  'default-src': ["'none'"],
  'script-src': ["'self'", "'unsafe-inline'"],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:', 'blob:'],
  'font-src': ["'self'", 'data:'],
  'connect-src': ["'self'"],
  'worker-src': ["'self'", 'blob:'],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/** @param path where the reference is @param documentUrl where it finds the document */
export function mountDocs(app: FastifyInstance, path: string, documentUrl: string): void {
  let pages: Promise<FastifyInstance> | undefined;
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    pages ??= loadPages(path, documentUrl);
    const page = await (await pages).inject({ method: 'GET', url: request.url });
    const { 'content-length': _length, connection: _connection, date: _date, ...headers } = page.headers;
    return reply
      .code(page.statusCode)
      .headers(headers)
      .header('cache-control', 'public, max-age=3600')
      .send(page.rawPayload);
  };
  // Links in the page are relative to the folder.
  app.get(path, { config: { action: 'look' } }, (_request, reply) =>
    reply
      .code(301)
      .header('location', `${path}/`)
      .header('content-type', 'text/html; charset=utf-8')
      .send(`<a href="${path}/">The API reference</a>\n`),
  );
  for (const url of [`${path}/`, `${path}/js/scalar.js`]) app.get(url, { config: { action: 'look' } }, answer);
}

async function loadPages(path: string, documentUrl: string): Promise<FastifyInstance> {
  const { default: apiReference } = await import('@scalar/fastify-api-reference');
  const pages = fastify({ exposeHeadRoutes: false });
  await pages.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: contentPolicy },
    strictTransportSecurity: false,
  });
  await pages.register(apiReference, {
    routePrefix: path as `/${string}`,
    configuration: { url: documentUrl, pageTitle: 'Sluice API', withDefaultFonts: false, telemetry: false },
  });
  await pages.ready();
  return pages;
}
