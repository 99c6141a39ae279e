/**
 * The functions of the film pipeline: what a user's module looks like.
 *
 * Each is an ordinary function of its input and params. None knows about the others, about queues or
 * retries: the workflow file says what follows what. films.report writes a file, and writing the
 * same file twice does no harm, which is all that at-least-once execution asks of it.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { defineFunction } from "gavotte";
import { renderReport } from "./report.ts";
import type { Decade, Director, Film, Genre, Money, Quality, Ratings } from "./report.ts";

interface RawFilm {
  Title: string | number | null;
  "Release Date": string;
  "Production Budget": number | null;
  "Worldwide Gross": number | null;
  "Major Genre": string | null;
  Director: string | null;
  "IMDB Rating": number | null;
  "Rotten Tomatoes Rating": number | null;
}

/** The data set ends in 2010: later years are those of the century before, written with two digits. */
const LAST_YEAR = 2011;

/** Turns raw rows into films, and counts why rows were left out or had to be repaired. */
export const validate = defineFunction<object, RawFilm[]>("films.validate", ({ input, log }) => {
  const films: Film[] = [];
  const problems: { [problem: string]: number } = {};
  let repaired = 0;
  for (const row of input) {
    const problem = problemOf(row);
    if (problem !== null) {
      problems[problem] = (problems[problem] ?? 0) + 1;
      continue;
    }
    const year = new Date(row["Release Date"]).getFullYear();
    if (year > LAST_YEAR || typeof row.Title === "number") repaired += 1;
    films.push({
      title: String(row.Title),
      year: year > LAST_YEAR ? year - 100 : year,
      budget: row["Production Budget"] ?? 0,
      gross: row["Worldwide Gross"] ?? 0,
      genre: row["Major Genre"],
      director: row.Director,
      imdb: row["IMDB Rating"] ?? 0,
      tomatoes: row["Rotten Tomatoes Rating"],
    });
  }
  log.info({ read: input.length, kept: films.length }, "validated");
  return { films, read: input.length, kept: films.length, repaired, problems };
});

function problemOf(row: RawFilm): string | null {
  if (row.Title === null) return "no title";
  if (Number.isNaN(Date.parse(row["Release Date"]))) return "no release date";
  if ((row["Production Budget"] ?? 0) <= 0) return "no budget";
  if ((row["Worldwide Gross"] ?? 0) <= 0) return "no box office figure";
  return row["IMDB Rating"] === null ? "no rating" : null;
}

/** Smaller groups say more about their members than about anything else. */
const GROUP_MIN = 30;

/** Genres by what a film in the middle of each earns, in multiples of its budget. */
export const genres = defineFunction<object, Film[]>("films.genres", ({ input }): Genre[] =>
  groups(input, (film) => film.genre)
    .filter(([, films]) => films.length >= GROUP_MIN)
    .map(([name, films]) => ({
      name,
      films: films.length,
      times_budget: rounded(median(films.map(timesBudget))),
      rating: rounded(mean(films.map((film) => film.imdb))),
      gross: sum(films.map((film) => film.gross)),
    }))
    .sort((a, b) => b.times_budget - a.times_budget),
);

/** Decades, oldest first. */
export const decades = defineFunction<object, Film[]>("films.decades", ({ input }): Decade[] =>
  groups(input, (film) => `${Math.floor(film.year / 10) * 10}s`)
    .filter(([, films]) => films.length >= GROUP_MIN)
    .map(([name, films]) => ({
      name,
      films: films.length,
      budget: median(films.map((film) => film.budget)),
      times_budget: rounded(median(films.map(timesBudget))),
      rating: rounded(mean(films.map((film) => film.imdb))),
    }))
    .sort((a, b) => a.name.localeCompare(b.name)),
);

/** How ratings are spread, and what they go along with. */
export const ratings = defineFunction<object, Film[]>("films.ratings", ({ input }): Ratings => {
  const histogram = groups(input, (film) => String(Math.floor(film.imdb)))
    .map(([name, films]) => ({ rating: Number(name), films: films.length }))
    .sort((a, b) => a.rating - b.rating);
  const reviewed = input.filter((film) => film.tomatoes !== null);
  return {
    histogram,
    with_critics: correlation(reviewed, (film) => [film.imdb, film.tomatoes ?? 0]),
    with_budget: correlation(input, (film) => [film.imdb, film.budget]),
    with_gross: correlation(input, (film) => [film.imdb, film.gross]),
  };
});

/** The ten directors with the best average rating among those with enough films. */
export const directors = defineFunction<{ films_min: number }, Film[]>(
  "films.directors",
  ({ input, params }): Director[] =>
    groups(input, (film) => film.director)
      .filter(([, films]) => films.length >= params.films_min)
      .map(([name, films]) => ({
        name,
        films: films.length,
        rating: rounded(mean(films.map((film) => film.imdb))),
        gross: sum(films.map((film) => film.gross)),
      }))
      .sort((a, b) => b.rating - a.rating || b.gross - a.gross)
      .slice(0, 10),
);

/** Who earned most for each dollar, and who lost most of them. */
export const money = defineFunction<{ budget_min: number }, Film[]>(
  "films.money",
  ({ input, params }): Money => {
    const all = input
      .filter((film) => film.budget >= params.budget_min)
      .map(({ title, year, budget, gross }) => ({
        title,
        year,
        times_budget: rounded(gross / budget),
        profit: gross - budget,
      }));
    return {
      surprises: [...all].sort((a, b) => b.times_budget - a.times_budget).slice(0, 5),
      losses: [...all].sort((a, b) => a.profit - b.profit).slice(0, 5),
      profitable: rounded(all.filter((film) => film.profit > 0).length / all.length),
    };
  },
);

interface ReportInput {
  genres: Genre[];
  decades: Decade[];
  ratings: Ratings;
  directors: Director[];
  money: Money;
}

/** Writes the report; gives its path and the facts worth a line in the summary. */
export const report = defineFunction<{ path: string; quality: Quality }, ReportInput>(
  "films.report",
  async ({ input, params, signal }) => {
    const { path, quality } = params;
    const file = resolve(path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, renderReport({ ...input, quality }), { signal });
    const byRating = [...input.decades].sort((a, b) => b.rating - a.rating);
    return {
      path,
      read: quality.read,
      kept: quality.kept,
      genre: input.genres[0],
      decade: byRating[0],
      surprise: input.money.surprises[0],
    };
  },
);

/** Groups in the order of their first members; what has no name is in none. */
function groups(films: Film[], nameOf: (film: Film) => string | null): [string, Film[]][] {
  const found = new Map<string, Film[]>();
  for (const film of films) {
    const name = nameOf(film);
    if (name !== null) found.set(name, [...(found.get(name) ?? []), film]);
  }
  return [...found];
}

function timesBudget(film: Film): number {
  return film.gross / film.budget;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: number[]): number {
  return sum(values) / values.length;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1] ?? 0, sorted[middle] ?? 0];
  return sorted.length % 2 === 0 ? (low + high) / 2 : high;
}

/** Pearson's r, from -1 to 1. */
function correlation(films: Film[], pairOf: (film: Film) => [number, number]): number {
  const pairs = films.map(pairOf);
  const [mx, my] = [mean(pairs.map(([x]) => x)), mean(pairs.map(([, y]) => y))];
  const spread = (of: (pair: [number, number]) => number): number => sum(pairs.map(of));
  const together = spread(([x, y]) => (x - mx) * (y - my));
  return rounded(
    together / Math.sqrt(spread(([x]) => (x - mx) ** 2) * spread(([, y]) => (y - my) ** 2)),
  );
}

/** Two decimals are all that these data are good for. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
