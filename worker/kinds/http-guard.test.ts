import { describe, expect, it } from "vitest";
import { AddressGuard, isPublicAddress } from "./http-guard.ts";

describe("the address guard", () => {
  it("tells public addresses from all others", () => {
    for (const address of ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2001:4860:4860::8888"]) {
      expect(isPublicAddress(address), address).toBe(true);
    }
    const inside = "127.0.0.1 10.1.2.3 172.31.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1";
    const special = "::1 :: fe80::1 fc00::1 ff02::1 ::ffff:8.8.8.8 64:ff9b::7f00:1 2002:7f00:1::";
    for (const address of `${inside} ${special} 255.255.255.255 2001:db8::1`.split(" ")) {
      expect(isPublicAddress(address), address).toBe(false);
    }
  });

  it("refuses the metadata service however it is spelled", () => {
    const guard = new AddressGuard([]);
    for (const host of ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"]) {
      const { hostname } = new URL(`http://${host}/`);
      expect(() => guard.assertHost(hostname), host).toThrow(/allow list/);
    }
    expect(() => guard.assertHost("[::ffff:a9fe:a9fe]")).toThrow(/allow list/);
  });

  it("lets through what is on the allow list, and only that", () => {
    const guard = new AddressGuard(["loopback", "10.1.0.0/16", "192.168.1.5"]);
    for (const host of ["127.0.0.1", "[::1]", "10.1.255.1", "192.168.1.5"]) {
      expect(() => guard.assertHost(host)).not.toThrow();
    }
    expect(() => guard.assertHost("10.2.0.1")).toThrow(/10\.2\.0\.1/);
    expect(() => new AddressGuard(["*"]).assertHost("10.2.0.1")).not.toThrow();
    expect(() => new AddressGuard(["corp/8"])).toThrow(TypeError);
  });

  it("checks what a name resolves to", async () => {
    const resolved = (guard: AddressGuard) =>
      new Promise((resolve) => {
        guard.lookup("localhost", { all: true }, (error, found) => resolve(error ?? found));
      });
    expect(await resolved(new AddressGuard([]))).toMatchObject({ code: "HTTP_REFUSED" });
    expect(await resolved(new AddressGuard(["localhost"]))).toBeInstanceOf(Array);
  });
});
