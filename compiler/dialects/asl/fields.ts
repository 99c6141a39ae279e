/**
 * Every field of the Amazon States Language, and what becomes of it: the reader goes by this table,
 * and docs/dialects.md shows it.
 */

export interface Field {
  /** `lost`: left out with a warning, since the steps do not depend on it. */
  support: "yes" | "no" | "lost";
  how: string;
}

type Fields = Readonly<Record<string, Field>>;

const yes = (how: string): Field => ({ support: "yes", how });
const no = (how: string): Field => ({ support: "no", how });
const lost = (how: string): Field => ({ support: "lost", how });

const language = yes("`JSONPath` only; `JSONata` is refused");
const jsonata = no("belongs to JSONata; use Parameters, ResultSelector and ResultPath");
const variables = no("variables do not exist here; keep the value in the document with ResultPath");

const COMMON: Fields = {
  Type: yes("the type of the node, see above"),
  Comment: yes("`description`; `max_iterations: n` in it is the bound of a cycle"),
  QueryLanguage: language,
  Assign: variables,
  Output: jsonata,
};
const PATHS: Fields = {
  InputPath: yes("part of the node's `input`"),
  OutputPath: yes("part of the last expression of the state"),
};
const NEXT: Fields = { Next: yes("an edge"), End: yes("no edge: the run, branch or element ends") };
const RESULT: Fields = {
  Parameters: yes("the node's `input`"),
  ResultSelector: yes("a transform after the node"),
  ResultPath: yes("a transform after the node, with `setPath`"),
  Arguments: jsonata,
};
const FAILURES: Fields = {
  Retry: yes("`retry`; several entries as far as one policy can say them"),
  Catch: yes("`error` edges, first match first"),
};

const WHOLE: Fields = {
  ...FAILURES,
  Retry: yes("a loop around the state; without JitterStrategy (GV5002)"),
};

export const MACHINE_FIELDS: Fields = {
  Comment: yes("`metadata.description`"),
  StartAt: yes("the entry"),
  States: yes("the nodes"),
  TimeoutSeconds: yes("`settings.timeout_ms`"),
  Version: yes("1.0; it is the language's version, not the workflow's"),
  QueryLanguage: language,
};

/** A machine inside a state: a branch of a Parallel, the processor of a Map. */
export const INNER_FIELDS: Fields = {
  Comment: lost("a machine inside a state has no description of its own"),
  StartAt: yes("the entry"),
  States: yes("the nodes"),
  QueryLanguage: language,
  ProcessorConfig: lost(
    "`Mode: DISTRIBUTED` runs like INLINE; elements are tokens of the same run",
  ),
};

/** An entry of Retry. */
export const RETRIER_FIELDS: Fields = {
  ErrorEquals: yes("`on` and `not_on`"),
  IntervalSeconds: yes("`backoff_ms`"),
  MaxAttempts: yes("`max_attempts`, which counts the first one too; 99 retries at most"),
  BackoffRate: yes("`backoff_multiplier`"),
  MaxDelaySeconds: yes("`max_backoff_ms`"),
  JitterStrategy: yes("`jitter`"),
  Comment: lost("a retry policy has no description"),
};

/** An entry of Catch. */
export const CATCHER_FIELDS: Fields = {
  ErrorEquals: yes("the condition of the edge"),
  Next: yes("the target of the edge"),
  ResultPath: yes("a transform on the way"),
  Comment: lost("describe the state that it leads to"),
  Assign: variables,
  Output: jsonata,
};

export const STATE_FIELDS = {
  Task: {
    ...COMMON,
    ...NEXT,
    ...PATHS,
    ...RESULT,
    ...FAILURES,
    Resource: yes("the function, see below"),
    TimeoutSeconds: yes("`timeout_ms`"),
    TimeoutSecondsPath: no("a timeout is a number here: write TimeoutSeconds"),
    HeartbeatSeconds: lost("workers renew their leases by themselves"),
    HeartbeatSecondsPath: lost("workers renew their leases by themselves"),
    Credentials: no("roles do not exist here; a worker has its own rights"),
  },
  Pass: {
    ...COMMON,
    ...NEXT,
    ...PATHS,
    Parameters: yes("the value of a transform"),
    Result: yes("the value of a transform"),
    ResultPath: yes("`setPath` in the transform"),
  },
  Choice: {
    ...COMMON,
    ...PATHS,
    Choices: yes("edges with conditions, in their order"),
    Default: yes("the edge without a condition"),
  },
  Parallel: {
    ...COMMON,
    ...NEXT,
    ...PATHS,
    ...RESULT,
    ...WHOLE,
    Branches: yes("a fan-out and a join; with Retry or Catch the body of a map over one element"),
  },
  Map: {
    ...COMMON,
    ...NEXT,
    ...PATHS,
    ...RESULT,
    ...WHOLE,
    Parameters: yes("the older name of ItemSelector"),
    ItemsPath: yes("`items`"),
    ItemSelector: yes("a transform at the beginning of the body"),
    ItemProcessor: yes("`do`"),
    Iterator: yes("the older name of ItemProcessor"),
    MaxConcurrency: yes("`max_concurrency`; 0 is no limit"),
    MaxConcurrencyPath: no("a limit is a number here: write MaxConcurrency"),
    ToleratedFailureCount: yes("`tolerated_failures`"),
    ToleratedFailureCountPath: no("a number here: write ToleratedFailureCount"),
    ToleratedFailurePercentage: no("write ToleratedFailureCount"),
    ToleratedFailurePercentagePath: no("write ToleratedFailureCount"),
    ItemReader: no("read the items in a Task before, and give them with ItemsPath"),
    ItemBatcher: no("put the items together with States.ArrayPartition"),
    ResultWriter: no("write the result in a Task after it"),
    Label: lost("names of child executions do not exist here"),
  },
  Wait: {
    ...COMMON,
    ...NEXT,
    ...PATHS,
    Seconds: yes("`delay_ms`"),
    SecondsPath: yes("`delay_ms`"),
    Timestamp: yes("`until`"),
    TimestampPath: yes("`until`"),
  },
  Succeed: { ...COMMON, ...PATHS },
  Fail: {
    ...COMMON,
    Error: yes("`code` of `builtin.fail`"),
    ErrorPath: yes("`code` of `builtin.fail`"),
    Cause: yes("`message` of `builtin.fail`"),
    CausePath: yes("`message` of `builtin.fail`"),
  },
} as const satisfies Record<string, Fields>;

export type StateType = keyof typeof STATE_FIELDS;

/** What a state of each type becomes. */
export const STATE_MEANINGS: Readonly<Record<StateType, string>> = {
  Task: "`function`, `http` or `subworkflow`, by its Resource",
  Pass: "`pass` or `transform`",
  Choice: "`conditional`",
  Parallel: "`parallel`, the branches, and a `transform` that joins them",
  Map: "`map`",
  Wait: "`delay`",
  Succeed: "`end`",
  Fail: "`function` with `builtin.fail`",
};
