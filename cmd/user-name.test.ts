/** Who acts where nobody says so: a name even for a user that the system has none for. */
import { expect, it } from "vitest";
import { userName } from "./user-name.ts";

it("is the system's, else that of the environment, else the user's number", () => {
  const unnamed = (): never => {
    throw new Error("uv_os_get_passwd returned ENOENT");
  };
  expect(userName({ env: { USER: "eve" }, system: () => "ada" })).toBe("ada");
  expect(userName({ env: { USER: "eve" }, system: unnamed })).toBe("eve");
  expect(userName({ env: { USER: "", LOGNAME: "kim" }, system: unnamed })).toBe("kim");
  expect(userName({ env: {}, system: unnamed })).toBe(`uid ${process.getuid?.() ?? ""}`);
});
