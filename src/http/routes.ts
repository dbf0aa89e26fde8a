/** Which methods a path has, for 405: asked only when no route matched. */
import type { FastifyInstance } from 'fastify';

export type RouteList = {
  /** The methods that the path would answer, sorted; none when the path is unknown. */
  readonly methodsOf: (path: string) => readonly string[];
  /** The base of the server's own routes. */
  readonly patterns: () => readonly string[];
};

/** Keeps note of every route of the instance that is added from now on. */
export function listRoutes(app: FastifyInstance): RouteList {
  const routes = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();
  app.addHook('onRoute', ({ method, url }) => {
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of Array.isArray(method) ? method : [method]) route.methods.add(name);
    routes.set(url, route);
  });
  return {
    methodsOf(path) {
      const methods = new Set<string>();
      for (const route of routes.values())
        if (route.pattern.test(path)) for (const name of route.methods) methods.add(name);
      return [...methods].sort();
    },
    patterns: () => [...routes.keys()],
  };
}

const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+')}$`);
