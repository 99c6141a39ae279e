/**
 * The report of the film pipeline as Markdown, and the shapes of what it is made of.
 */
export interface Film {
  title: string;
  year: number;
  budget: number;
  gross: number;
  genre: string | null;
  director: string | null;
  imdb: number;
  tomatoes: number | null;
}

export interface Quality {
  read: number;
  kept: number;
  repaired: number;
  problems: { [problem: string]: number };
}

export interface Genre {
  name: string;
  films: number;
  times_budget: number;
  rating: number;
  gross: number;
}

export interface Decade {
  name: string;
  films: number;
  budget: number;
  times_budget: number;
  rating: number;
}

export interface Ratings {
  histogram: { rating: number; films: number }[];
  with_critics: number;
  with_budget: number;
  with_gross: number;
}

export interface Director {
  name: string;
  films: number;
  rating: number;
  gross: number;
}

export interface Balance {
  title: string;
  year: number;
  times_budget: number;
  profit: number;
}

export interface Money {
  surprises: Balance[];
  losses: Balance[];
  profitable: number;
}

export interface Report {
  quality: Quality;
  genres: Genre[];
  decades: Decade[];
  ratings: Ratings;
  directors: Director[];
  money: Money;
}

/** Characters of the longest bar of the histogram. */
const BAR_LENGTH = 32;

/** The whole document; the same report gives the same text. */
export function renderReport(report: Report): string {
  const { quality, ratings, money } = report;
  return [
    "# What 80 years of films earned, and what people thought of them",
    `${count(quality.kept)} of ${count(quality.read)} films could be used, ` +
      `${count(quality.repaired)} of them after a repair. Left out:`,
    list(Object.entries(quality.problems).map(([problem, n]) => `${problem}: ${count(n)}`)),
    "## Genres",
    "By what the film in the middle of the genre earned, in multiples of its budget.",
    table(
      ["Genre", "Films", "Times its budget", "IMDB", "Gross of all"],
      report.genres.map((g) => [
        g.name,
        count(g.films),
        times(g),
        fixed(g.rating),
        dollars(g.gross),
      ]),
    ),
    "## Decades",
    table(
      ["Decade", "Films", "Budget in the middle", "Times its budget", "IMDB"],
      report.decades.map((d) => [
        d.name,
        count(d.films),
        dollars(d.budget),
        times(d),
        fixed(d.rating),
      ]),
    ),
    "## Ratings",
    histogram(ratings),
    list([
      `viewers and critics: r = ${fixed(ratings.with_critics)}`,
      `rating and box office: r = ${fixed(ratings.with_gross)}`,
      `rating and budget: r = ${fixed(ratings.with_budget)}`,
    ]),
    "## Directors",
    table(
      ["Director", "Films", "IMDB", "Gross of all"],
      report.directors.map((d) => [d.name, count(d.films), fixed(d.rating), dollars(d.gross)]),
    ),
    "## Money",
    `${Math.round(money.profitable * 100)} % of the films earned more than they cost.`,
    table(["Surprise", "Year", "Times its budget", "Profit"], money.surprises.map(balance)),
    table(["Loss", "Year", "Times its budget", "Profit"], money.losses.map(balance)),
  ]
    .join("\n\n")
    .concat("\n");
}

function balance(film: Balance): string[] {
  return [film.title, String(film.year), times(film), dollars(film.profit)];
}

/** Columns are padded, so that the file reads well without a Markdown viewer. */
function table(head: string[], rows: string[][]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  const line = (row: string[]): string =>
    `| ${row.map((cell, i) => pad(cell, widths[i] ?? 0, i > 0)).join(" | ")} |`;
  const rule = widths.map((width, i) => "-".repeat(i > 0 ? width - 1 : width) + (i > 0 ? ":" : ""));
  return [line(head), line(rule), ...cells.map(line)].join("\n");
}

function pad(text: string, width: number, toTheRight: boolean): string {
  return toTheRight ? text.padStart(width) : text.padEnd(width);
}

function histogram({ histogram: bars }: Ratings): string {
  const longest = Math.max(1, ...bars.map((bar) => bar.films));
  const lines = bars.map(({ rating, films }) => {
    const bar = "█".repeat(Math.ceil((films / longest) * BAR_LENGTH));
    return `${rating}–${rating + 1}  ${bar} ${count(films)}`;
  });
  return ["```", ...lines, "```"].join("\n");
}

function list(lines: string[]): string {
  return lines.map((text) => `* ${text}`).join("\n");
}

function times(of: { times_budget: number }): string {
  return `${fixed(of.times_budget)} ×`;
}

function fixed(value: number): string {
  return value.toFixed(2);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** In the unit that leaves one to three digits: $1.2 bn, $34 M, $560 k. */
function dollars(value: number): string {
  const size = Math.abs(value);
  const [unit, name] = size >= 1e9 ? [1e9, "bn"] : size >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  const digits = size / unit < 10 ? 1 : 0;
  return `${value < 0 ? "−" : ""}$${(size / unit).toFixed(digits)} ${name}`;
}
