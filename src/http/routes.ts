/** Which methods a path has, for 405: asked only when no route matched. */
import type { FastifyInstance } from 'fastify';

export type RouteList = {
  /** The methods that the path would answer, sorted; none when the path is unknown. */
  readonly methodsOf: (path: string) => readonly string[];
  /** The base of the server's own routes. */
  readonly patterns: () => readonly string[];
};

type Route = {
  readonly pattern: RegExp;
  /** The last part of the path is no parameter. */
  readonly isNamed: boolean;
  readonly methods: Set<string>;
};

/** Keeps note of every route of the instance that is added from now on. */
export function listRoutes(app: FastifyInstance): RouteList {
  const routes = new Map<string, Route>();
  app.addHook('onRoute', ({ method, url }) => {
    const route = routes.get(url) ?? {
      pattern: patternOf(url),
      isNamed: !/:\w+$/.test(url),
      methods: new Set<string>(),
    };
    for (const name of Array.isArray(method) ? method : [method]) route.methods.add(name);
    routes.set(url, route);
  });
  return {
    methodsOf(path) {
      const found = [...routes.values()].filter(({ pattern }) => pattern.test(path));
      // A name goes before a parameter in its place, as in the router.
      const named = found.filter(({ isNamed }) => isNamed);
      const methods = (named.length > 0 ? named : found).flatMap((route) => [...route.methods]);
      return [...new Set(methods)].sort();
    },
    patterns: () => [...routes.keys()],
  };
}

const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+')}$`);
