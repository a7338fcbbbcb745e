// A name resolver for a list of endpoints, which grpc-js lacks: `ipv4:` takes several addresses but no names, `dns:` one name.

import { experimental } from "@grpc/grpc-js";

type Result = Parameters<experimental.ResolverListener>[0];

/** Resolves each endpoint as `dns:` does, again whenever a connection is lost, and balances over all their addresses. */
class Replicas implements experimental.Resolver {
  private readonly resolvers: experimental.Resolver[];

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener, options: object) {
    const endpoints = target.path.split(",");
    const results = new Map<string, Result>();
    this.resolvers = endpoints.map((path) =>
      experimental.createResolver(
        { scheme: "dns", path },
        (result) => {
          // The addresses that a name had are better than none.
          if (result.ok || !results.has(path)) results.set(path, result);
          const found = [...results.values()].flatMap((each) => (each.ok ? each.value : []));
          if (found.length > 0) return listener(experimental.statusOrFromValue(found), {}, null, "");
          return results.size < endpoints.length || listener(result, {}, null, "");
        },
        options,
      ),
    );
  }

  updateResolution(): void {
    for (const resolver of this.resolvers) resolver.updateResolution();
  }

  destroy(): void {
    for (const resolver of this.resolvers) resolver.destroy();
  }

  /** The name that the certificate of every replica is checked against. */
  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path.split(",", 1)[0]!;
  }
}

experimental.registerResolver("replicas", Replicas);

/** The target of a channel over all endpoints. */
export function replicas(endpoints: string[]): string {
  return `replicas:${endpoints.join(",")}`;
}
