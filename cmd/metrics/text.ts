/**
 * Samples as Prometheus reads them, with what Node says of the process. Loads prom-client: only
 * processes that serve metrics import this, and only when they begin to.
 */
import { collectDefaultMetrics, Gauge, Registry, type MetricObjectWithValues } from "prom-client";
import { BUCKET_SECONDS, Durations } from "../../sdk/internal.ts";
import { METRICS, type MetricName, type MetricSpec } from "./catalogue.ts";
import type { Sample, Samples } from "./samples.ts";

type Values = MetricObjectWithValues<{
  metricName?: string;
  labels: { [label: string]: string | number };
  value: number;
}>;

/** Makes the text of samples; the first call begins to measure the event loop and the collector. */
export class MetricsText {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  #samples: Samples | null = null;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    for (const [name, spec] of Object.entries(METRICS) as [MetricName, MetricSpec][]) {
      this.#registry.registerMetric(new Known(name, spec, () => this.#samples?.of(name) ?? []));
    }
  }

  /** One text at a time is made of these: whoever calls waits for it before the next. */
  async of(samples: Samples): Promise<string> {
    this.#samples = samples;
    const texts = this.#registry.getMetricsAsArray().map(async ({ name }) => {
      const isUnknown = name in METRICS && samples.of(name as MetricName).length === 0;
      // Of what another process tells not even the name is here.
      return isUnknown ? "" : `${await this.#registry.getSingleMetricAsString(name)}\n`;
    });
    return (await Promise.all(texts)).join("");
  }
}

/**
 * A metric whose values are counted elsewhere. The library's own counters and histograms want to
 * count themselves; what it makes text of is only what `get` gives.
 */
class Known extends Gauge {
  readonly #name: MetricName;
  readonly #spec: MetricSpec;
  readonly #samples: () => readonly Sample[];

  constructor(name: MetricName, spec: MetricSpec, samples: () => readonly Sample[]) {
    super({ name, help: helpOf(spec), labelNames: spec.labels ?? [], registers: [] });
    this.#name = name;
    this.#spec = spec;
    this.#samples = samples;
  }

  override get(): Promise<never> {
    const values = this.#samples().flatMap(({ labels, value }) =>
      value instanceof Durations ? bucketsOf(this.#name, labels, value) : [{ labels, value }],
    );
    const { type } = this.#spec;
    const told = { name: this.#name, help: helpOf(this.#spec), type, aggregator: "sum", values };
    return Promise.resolve(told as unknown as never);
  }
}

/** The text beside a metric: what it is, and what to do about it. */
export function helpOf({ about, high }: MetricSpec): string {
  return `${about} ${high}`;
}

/** Cumulative, as Prometheus has them. */
function bucketsOf(name: string, labels: Sample["labels"], times: Durations): Values["values"] {
  let count = 0;
  const buckets = [...times.counts].map((n, i) => {
    count += n;
    const le = BUCKET_SECONDS[i] ?? "+Inf";
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: times.sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
