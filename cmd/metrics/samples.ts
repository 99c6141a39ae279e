/** What is known now, as samples of the metrics in catalogue.ts. */
import { Durations } from "../../sdk/internal.ts";
import type { MetricName } from "./catalogue.ts";

export interface Sample {
  labels: { [label: string]: string };
  value: number | Durations;
}

/** Samples by name. Of parts that tell the same in one process, the sum. */
export class Samples {
  readonly #byName = new Map<MetricName, Map<string, Sample>>();

  /** Adds to what these labels have already. */
  add(name: MetricName, value: number | Durations, labels: Sample["labels"] = {}): void {
    const one = this.#of(name, labels);
    one.value =
      typeof value === "number"
        ? value + (typeof one.value === "number" ? one.value : 0)
        : together(value, one.value);
  }

  /** Adds what may not be known: then nothing is told of it. */
  addKnown(name: MetricName, value: number | undefined, labels: Sample["labels"] = {}): void {
    if (value !== undefined) {
      this.add(name, value, labels);
    }
  }

  /** Keeps the larger, if it is known. */
  max(name: MetricName, value: number | undefined, labels: Sample["labels"] = {}): void {
    if (value === undefined) {
      return;
    }
    const one = this.#of(name, labels);
    one.value = Math.max(value, typeof one.value === "number" ? one.value : 0);
  }

  /** Those of a metric; none: nothing is known of it here. */
  of(name: MetricName): readonly Sample[] {
    return [...(this.#byName.get(name)?.values() ?? [])];
  }

  #of(name: MetricName, labels: Sample["labels"]): Sample {
    const known = this.#byName.get(name) ?? new Map<string, Sample>();
    this.#byName.set(name, known);
    const key = JSON.stringify(labels);
    const one = known.get(key) ?? { labels, value: 0 };
    known.set(key, one);
    return one;
  }
}

function together(a: Durations, b: number | Durations): Durations {
  if (typeof b === "number") {
    return a;
  }
  const sum = new Durations();
  sum.counts.forEach((_, i) => (sum.counts[i] = (a.counts[i] as number) + (b.counts[i] as number)));
  sum.sumMs = a.sumMs + b.sumMs;
  return sum;
}
