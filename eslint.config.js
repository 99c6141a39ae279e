/**
 * What the compiler does not find: promises nobody waits for, cases a switch forgets, and the
 * things that have one place in this code base. Who may import whom is in .dependency-cruiser.cjs.
 */
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** Each message names what to use instead. */
const PROCESS_EXIT = {
  object: "process",
  property: "exit",
  message: "Ending the process belongs to cmd/exit.ts; throw, or set process.exitCode.",
};
const PROCESS_ENV = {
  object: "process",
  property: "env",
  message: "Configuration comes in through constructors; the environment is read in cmd/ only.",
};

const programs = ["cmd/**", "scripts/**", "bench/**", "test/**", "test_data/**"];
const tests = ["**/*.test.ts", "**/*.fixture.ts", "test/**", "bench/**"];

export default defineConfig(
  globalIgnores([
    "dist/",
    "coverage/",
    "tmp/",
    "web/",
    "test_data/",
    "bench/peers/",
    "**/*.gen.ts",
  ]),
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      // JSON values are made into text on purpose, after their shape has been checked.
      "@typescript-eslint/no-base-to-string": "off",
      // Flags assertions that a reader needs, and whose removal the compiler then refuses.
      "@typescript-eslint/no-unnecessary-type-assertion": "off",
      // A method that answers at once still has to fit an interface that promises.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true },
      ],
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      eqeqeq: "error",
      "no-console": "error",
      "no-restricted-properties": ["error", PROCESS_EXIT, PROCESS_ENV],
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "Use a union of strings, or an `as const`." },
      ],
      "max-lines-per-function": [
        "error",
        { max: 70, skipBlankLines: true, skipComments: true, IIFEs: true },
      ],
      "prefer-const": "error",
    },
  },
  {
    files: programs,
    rules: { "no-restricted-properties": ["error", PROCESS_EXIT], "no-console": "off" },
  },
  {
    files: ["cmd/exit.ts", "scripts/**", "bench/**"],
    rules: { "no-restricted-properties": "off" },
  },
  {
    files: tests,
    rules: {
      "no-restricted-properties": "off",
      // A describe is one function, and as long as what it describes.
      "max-lines-per-function": "off",
      // Matchers such as expect.any() are `any`, and so is what a test reads from JSON.
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      // Handing a method to a spy or an expectation does not call it.
      "@typescript-eslint/unbound-method": "off",
    },
  },
);
