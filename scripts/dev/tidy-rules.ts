/**
 * What a file of this repository may not contain. Each rule names what to do instead.
 *
 * These are rules about text, cheap and without false alarms worth speaking of; what needs types is
 * in eslint.config.js, who imports whom in .dependency-cruiser.cjs.
 */

/** A tracked file. */
export interface SourceFile {
  /** From the root of the repository, with slashes. */
  path: string;
  text: string;
}

/** Something to put right. */
export interface Finding {
  path: string;
  line?: number;
  message: string;
}

interface Ban {
  pattern: RegExp;
  instead: string;
  /** Where it may stand. */
  allowed: RegExp;
}

/** Prettier sets code at 100; a comment may end a word later. Lua nobody sets, and it is dense. */
const COLUMNS_MAX = 105;
const LUA_COLUMNS_MAX = 130;
const CODE = /\.(ts|js|cjs|lua|sql|sh)$/;
const TEST = /(\.test\.ts$|\.fixture\.ts$|^test\/|^bench\/)/;
const GENERATED = /\.gen\.ts$/;
const BUDGETS: { files: RegExp; lines: number }[] = [
  { files: /\.test\.ts$/, lines: 700 },
  { files: /^cmd\/main\.ts$/, lines: 300 },
  { files: /\.(ts|js|cjs)$/, lines: 500 },
  // One step is one script, however much it decides: half of it would not be atomic.
  { files: /\.lua$/, lines: 300 },
];
const BANNED_WORDS = new Set(["utils", "util", "common", "final", "new", "v2", "bak", "orig"]);

/** A pattern in two halves: written whole, this file would break its own rules. */
const apart = (...halves: string[]): RegExp => new RegExp(halves.join(""));

const NOWHERE = /^$/;
const BANS: Ban[] = [
  {
    pattern: apart("\\b(TO", "DO|FIX", "ME|XX", "X)\\b(?!.*#\\d)"),
    instead: "do it now, or open an issue and name its number",
    allowed: NOWHERE,
  },
  {
    pattern: apart("(eslint-", "disable|@ts-", "(ignore|nocheck|expect-error)|\\bas ", "any\\b)"),
    instead: "give the value its type, or change the rule for everybody",
    allowed: NOWHERE,
  },
  {
    pattern: /\bnew (Redis|Cluster)\(/,
    instead: "use connectRedis of sdk/internal.ts",
    allowed: /^sdk\/redis\/(connect|topology|cluster-router)\.ts$|^test\/|^bench\/|\.test\.ts$/,
  },
  {
    pattern: /\bDate\.now\(/,
    instead: "take a Clock and call clock.nowMs()",
    allowed: /^(sdk\/clock\.ts$|cmd\/|scripts\/|bench\/|test\/|test_data\/)|\.(test|fixture)\.ts$/,
  },
  {
    pattern: /(\.call\(\s*["']KEYS["']|\bredis\.keys\()/i,
    instead: "keep an index (a sorted set): KEYS walks the whole key space",
    allowed: /^test\/|\.test\.ts$/,
  },
  {
    pattern: /["'`]gv:/,
    instead: "build keys with sdk/keys.ts only",
    allowed: /^sdk\/keys\.ts$|^test\/|^bench\/|\.test\.ts$|\.lua$/,
  },
  {
    pattern: /\b(describe|it|test)\.only\(/,
    instead: "remove .only, or the other tests do not run",
    allowed: NOWHERE,
  },
  {
    pattern: apart("\\b(it|test)\\(\\s*[\"'`]", "should\\b"),
    instead: "name the rule in the present tense",
    allowed: NOWHERE,
  },
  {
    pattern: apart("(?<![\\w.])/(work|ho", "me|ro", "ot|Us", "ers)/[a-z]"),
    instead: "a path of one machine: make it relative",
    allowed: NOWHERE,
  },
];

/** Everything wrong with these files. */
export function tidy(files: readonly SourceFile[]): Finding[] {
  const each = files.flatMap((file) => [...nameFindings(file), ...textFindings(file)]);
  return [...each, ...unusedFindings(files)];
}

function nameFindings({ path }: SourceFile): Finding[] {
  if (path.startsWith("test_data/")) {
    return [];
  }
  const words = path.split("/").flatMap((part) => part.toLowerCase().split(/[-_.]/));
  const banned = words.filter((word) => BANNED_WORDS.has(word));
  return banned.map((word) => ({ path, message: `"${word}" says nothing; name what it holds` }));
}

function textFindings(file: SourceFile): Finding[] {
  if (!CODE.test(file.path) || GENERATED.test(file.path)) {
    return [];
  }
  const lines = file.text.split("\n");
  const perLine = lines.flatMap((text, index) => {
    const at = { path: file.path, line: index + 1 };
    const bans = BANS.filter((ban) => ban.pattern.test(text) && !ban.allowed.test(file.path));
    const found = bans.map((ban) => ({ ...at, message: `"${text.trim()}": ${ban.instead}` }));
    const message = `${text.length} columns; ${columnsMax(file.path)} at most`;
    return isTooWide(file.path, text) ? [...found, { ...at, message }] : found;
  });
  return [...lengthFindings(file), ...perLine];
}

function lengthFindings({ path, text }: SourceFile): Finding[] {
  const budget = BUDGETS.find(({ files }) => files.test(path));
  const body = path.endsWith(".lua") ? text.replace(/^--\[\[[\s\S]*?\]\]\n/, "") : text;
  const lines = body.trimEnd().split("\n").length;
  if (budget === undefined || lines <= budget.lines) {
    return [];
  }
  return [{ path, message: `${lines} lines, ${budget.lines} at most; split it by what it does` }];
}

/** What cannot be broken is left alone: addresses, and the texts tests compare with. */
function isTooWide(path: string, line: string): boolean {
  const unbreakable = /https?:\/\//.test(line) || (TEST.test(path) && /["'`]/.test(line));
  return line.length > columnsMax(path) && !unbreakable;
}

function columnsMax(path: string): number {
  return path.endsWith(".lua") ? LUA_COLUMNS_MAX : COLUMNS_MAX;
}

/** Sources no other file names: an import, a script or a configuration. */
function unusedFindings(files: readonly SourceFile[]): Finding[] {
  const candidates = files.filter(
    ({ path }) =>
      path.endsWith(".ts") &&
      !/(\.test\.ts|\.config\.ts|\.d\.ts|(^|\/)(index|main)\.ts)$|^(test_data|scripts\/dev)\//.test(
        path,
      ),
  );
  const texts = files.filter(({ path }) => /\.(ts|js|cjs|json|sh|ya?ml)$/.test(path));
  return candidates.flatMap(({ path }) => {
    const name = path.slice(path.lastIndexOf("/") + 1, -".ts".length);
    const mention = new RegExp(`["'/ ]${name.replaceAll(".", "\\.")}(\\.ts|\\.js)?["' ]`);
    const used = texts.some((other) => other.path !== path && mention.test(other.text));
    return used ? [] : [{ path, message: "no file imports this; remove it, or use it" }];
  });
}
