/** A store whose calls go through the test's hands: to be seen, refused or answered in its stead. */

type Call = (...args: unknown[]) => unknown;

/**
 * The same store; what is called is what `through` makes of the call of this name. On a Redis
 * Cluster calls of the connections to its servers are among them.
 */
export function intercepted<T extends object>(
  store: T,
  through: (name: string, call: Call) => Call,
): T {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") {
        return value;
      }
      const call = value.bind(target) as Call;
      return name === "at"
        ? (key: string) => intercepted(call(key) as object, through)
        : through(String(name), call);
    },
  });
}
