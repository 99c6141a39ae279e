// Generated from the schema of workflow files by scripts/dev/gen-types.ts (npm run gen).

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A workflow: nodes, and the edges that say what follows what. */
export interface WorkflowFile {
  /** Where this schema lies, for editors. */
  $schema?: string;
  /** What is known of the workflow as a whole. */
  metadata?: {
    /** What the workflow is called; runs are listed by it. */
    name?: string;
    /** Yours to choose; `name@version` finds it again. A number counts as it is written: 1.10 is not 1.1. */
    version?: string | number;
    /** For readers; it has no effect. */
    description?: string;
    /** Words to find it by. */
    tags?: string[];
  };
  /** What the workflow is called; runs are listed by it. */
  name?: string;
  /** Yours to choose; `name@version` finds it again. A number counts as it is written: 1.10 is not 1.1. */
  version?: string | number;
  /** For readers; it has no effect. */
  description?: string;
  /** Words to find it by. */
  tags?: string[];
  /** JSON Schema of a run's input, checked when a run is submitted. */
  input_schema?: { [key: string]: Json } | boolean | null;
  /** The steps, in any order. */
  nodes: WorkflowNode[];
  /** What follows what. */
  edges?: ({
    /** Id of the node it starts at. */
    from: string;
    /** Id of the node it leads to. */
    to: string;
    /** CEL over `output` of `from`; taken if it holds. */
    condition?: string | boolean | null;
    /** After which end of `from`; success without it. */
    on?: "success" | "error" | "timeout" | "always";
    /** For readers; it has no effect. */
    description?: string;
  })[];
  /** Template of the run's output; without it, the outputs of the leaves. */
  output?: Json;
  /** What holds for the whole run. */
  settings?: {
    /** How long a run may take. */
    timeout_ms?: number | null;
    /** Whose steps go first. */
    priority?: "high" | "normal" | "low";
    /** Which steps of a run go first: those that are ready, or those it waits for. */
    order?: "as_ready" | "critical_path";
    /** After a failure nobody handles: end at once, or do what does not need it. */
    failure?: "fail_fast" | "continue";
    /** False: also pure nodes and chains go through a queue. */
    fusion?: boolean;
    /** How many runs there are at one time. */
    concurrency?: {
      /** Runs with the same value count together. */
      key?: string;
      /** Runs at one time; 1 without it. */
      limit?: number;
      /** What happens to a run over the limit: it waits, is refused, or ends the others. */
      on_conflict?: "queue" | "reject" | "cancel_running";
    };
    /** How often runs may start. */
    rate_limit?: {
      /** What is limited: one limit for each value. */
      key?: string;
      /** How many in a second. */
      per_second?: number;
      /** How many in a minute. */
      per_minute?: number;
      /** How many in an hour. */
      per_hour?: number;
      /** How many in `per_ms`. */
      limit?: number;
      /** The time for `limit`. */
      per_ms?: number;
    };
    /** So many failed attempts without a success in between pause the run. */
    pause_after_errors?: number;
  };
}

interface NodeCommon {
  /** Unique in the workflow; edges and `ctx.<id>` name it. */
  id: string;
  /** How long one attempt may take. */
  timeout_ms?: number | null;
  /** Whether and when a failed attempt is followed by another. */
  retry?: {
    /** Executions in all, the first one included. 1 without it. */
    max_attempts?: number;
    /** Wait before the second attempt; 1000. */
    backoff_ms?: number;
    /** Each further wait is this many times the one before; 2. */
    backoff_multiplier?: number;
    /** No wait is longer, before jitter; 60000. */
    max_backoff_ms?: number;
    /** Share of each wait that is random, so that not all try at once; 0.2. */
    jitter?: number | boolean;
    /** Error codes that are tried again; all without it. */
    on?: string | string[];
    /** Error codes that are not tried again. */
    not_on?: string | string[];
    /** CEL over `error`: whether to try again. */
    condition?: string | boolean;
  };
  /** Queue whose workers execute the node. */
  queue?: string;
  /** How long it may wait for a worker. */
  queue_timeout_ms?: number;
  /** Business status that the run has from the node's success on. */
  sets_status?: string;
  /** True: the function only computes, so it may be called in the step before it. */
  pure?: boolean;
  /** How long it usually takes; only the order of steps rests on it. */
  expected_ms?: number;
  /** JSON Schema of what the node takes. */
  input_schema?: { [key: string]: Json } | boolean;
  /** JSON Schema of what the node puts out. */
  output_schema?: { [key: string]: Json } | boolean;
  /** How often nodes of this key may start. */
  rate_limit?: {
    /** What is limited: one limit for each value. */
    key?: string;
    /** How many in a second. */
    per_second?: number;
    /** How many in a minute. */
    per_minute?: number;
    /** How many in an hour. */
    per_hour?: number;
    /** How many in `per_ms`. */
    limit?: number;
    /** The time for `limit`. */
    per_ms?: number;
  };
  /** When nodes of this key are held back because too many have failed. */
  circuit_breaker?: boolean | {
    /** What fails as one: one circuit for each value. */
    key?: string;
    /** So many failures open it; 5 without it. */
    failures?: number;
    /** The time for `failures`; a minute without it. */
    within_ms?: number;
    /** How long before one execution may try; 30 s without it. */
    open_ms?: number;
    /** What becomes of the node meanwhile: it waits, or fails with CIRCUIT_OPEN. */
    on_open?: "wait" | "fail";
  };
  /** What undoes the node's work if the run fails. */
  compensate?: string | {
    /** The function that undoes the node's work. */
    function_name: string;
    /** Its parameters; templates are filled in. */
    params?: Json;
    /** Queue whose workers execute it. */
    queue?: string;
  };
  /** Which in-edges it waits for: all, any, a number, or all whether they fail or not (settled). */
  join?: "all" | "any" | "settled" | {
    /** As if it stood alone. */
    mode?: "all" | "any" | "settled";
    /** Arrivals that are waited for. */
    count?: number;
    /** Whether what is still open of its branches is cancelled when it fires. */
    cancel_losers?: boolean;
  };
  /** Older spelling of `join`: all or any. */
  wait_for_all?: boolean;
  /** After its own work, another round or on. */
  loop?: LoopKeys;
  /** Where to go from here, without edges. */
  branch?: {
    /** Tried in this order; the first whose condition holds is taken. */
    rules: ({
      /** CEL over the node's `output`. */
      condition: string | boolean;
      /** Where to go if it holds. */
      next_nodes: string | string[];
      /** For readers; it has no effect. */
      description?: string;
    })[];
    /** Where to go if no rule holds. */
    default?: string | string[];
  };
  /** Without effect in this version: every step is executed. */
  cache?: boolean | {
    /** How long an output is reused. */
    ttl_ms?: number;
  };
  /** For readers; it has no effect. */
  description?: string;
}

export interface FunctionNode extends NodeCommon {
  type: "function" | "task";
  config: FunctionConfig;
}

export interface HttpNode extends NodeCommon {
  type: "http";
  config: HttpConfig;
}

export interface TransformNode extends NodeCommon {
  type: "transform" | "transformation";
  config: TransformConfig;
}

export interface FilterNode extends NodeCommon {
  type: "filter";
  config: FilterConfig;
}

export interface AggregateNode extends NodeCommon {
  type: "aggregate";
  config: AggregateConfig;
}

export interface ConditionalNode extends NodeCommon {
  type: "conditional" | "decision";
  config?: ConditionalConfig;
}

export interface ParallelNode extends NodeCommon {
  type: "parallel" | "start" | "end" | "pass" | "noop";
  config?: ParallelConfig;
}

export interface LoopNode extends NodeCommon {
  type: "loop";
  config?: LoopConfig;
}

export interface DelayNode extends NodeCommon {
  type: "delay";
  config: DelayConfig;
}

export interface MapNode extends NodeCommon {
  type: "map";
  config: MapConfig;
}

export interface SubworkflowNode extends NodeCommon {
  type: "subworkflow";
  config: SubworkflowConfig;
}

export interface WaitNode extends NodeCommon {
  type: "wait";
  config: WaitConfig;
}

export interface HumanNode extends NodeCommon {
  type: "human" | "hitl" | "approval";
  config?: HumanConfig;
}

export type WorkflowNode =
  | FunctionNode
  | HttpNode
  | TransformNode
  | FilterNode
  | AggregateNode
  | ConditionalNode
  | ParallelNode
  | LoopNode
  | DelayNode
  | MapNode
  | SubworkflowNode
  | WaitNode
  | HumanNode;

type WithoutId<Node> = Node extends unknown ? Omit<Node, "id"> & { id?: string } : never;

/** `do` of a map, written as one node: it needs no id. */
export type MapBodyNode = WithoutId<WorkflowNode>;

/** `do` of a map, written as a graph. */
export interface MapBodyGraph {
  /** The steps, in any order. */
  nodes: WorkflowNode[];
  /** What follows what. */
  edges?: ({
    /** Id of the node it starts at. */
    from: string;
    /** Id of the node it leads to. */
    to: string;
    /** CEL over `output` of `from`; taken if it holds. */
    condition?: string | boolean | null;
    /** After which end of `from`; success without it. */
    on?: "success" | "error" | "timeout" | "always";
    /** For readers; it has no effect. */
    description?: string;
  })[];
  /** Template of an element's result; without it, outputs of the leaves. */
  output?: Json;
  /** For readers; it has no effect. */
  description?: string;
}

export interface LoopKeys {
  /** Where a round begins: this node, or one before it. */
  loop_back_to?: string;
  /** CEL over `output`: whether another round is wanted. Required. */
  condition: string | boolean;
  /** Rounds at most, from 1. Required. */
  max_iterations: number;
  /** Where to go when no further round is wanted. */
  break_path?: string | string[];
  /** Where to go when all rounds are used up. */
  timeout_path?: string | string[];
  /** Wait between rounds. */
  delay_ms?: number;
}

export interface FunctionConfig {
  /** The registered function that is called. */
  function_name: string;
  /** Its parameters, templates filled in; without it, the other keys of config. */
  params?: Json;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
  /** Parameters of the function. */
  [parameter: string]: unknown;
}

export interface HttpConfig {
  /** GET without it. */
  method?: string;
  /** Where the request goes; a template mostly. */
  url: string;
  /** Added to the URL. */
  query?: { [key: string]: Json } | string;
  /** Header fields of the request. */
  headers?: { [key: string]: Json } | string;
  /** A string as it is; anything else as JSON. */
  body?: Json;
  /** How to sign in. */
  auth?: {
    /** In which way. */
    type: "basic" | "bearer" | "api_key" | "oauth2";
    /** For basic. */
    username?: string;
    /** For basic; best `${secrets.NAME}`. */
    password?: string;
    /** For bearer; best `${secrets.NAME}`. */
    token?: string;
    /** For api_key: the header field that carries it. */
    header?: string;
    /** For api_key: the name it has. */
    name?: string;
    /** For api_key: where it goes. */
    in?: "header" | "query";
    /** For api_key; best `${secrets.NAME}`. */
    key?: string;
    /** For api_key: the same as `key`. */
    value?: string;
    /** For oauth2: where a token is fetched. */
    token_url?: string;
    /** For oauth2. */
    client_id?: string;
    /** For oauth2; best `${secrets.NAME}`. */
    client_secret?: string;
    /** For oauth2: what is asked for. */
    scope?: string;
  } | string;
  /** Which statuses are a success; 2xx without it. */
  expected_status?: number | string | (number | string)[] | string;
  /** How the body is read; auto goes by its type. */
  response?: "auto" | "json" | "text";
  /** Sent urlencoded instead of a body. */
  form?: { [key: string]: Json } | string;
  /** The body, or {status, headers, body}; the body without it. */
  output?: "body" | "response";
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface TransformConfig {
  /** A CEL expression, or a value with templates in it. */
  expression?: Json;
  /** What is done to the input, by name. */
  transformation?: "identity" | "uppercase" | "lowercase" | "trim" | "normalize" | "flatten" | "sort" | "unique" | "keys" | "values";
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface FilterConfig {
  /** CEL over `value` and `index`: which elements are kept. */
  filter_expression: string;
  /** The list; without it, the input. */
  items?: Json[] | string;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface AggregateConfig {
  /** How values become one: objects merged, lists united or joined, or a list. */
  strategy?: "merge" | "union" | "concat" | "collect";
  /** What is computed of the elements. */
  operation?: "sum" | "avg" | "min" | "max" | "count" | "group_by";
  /** The field of each element that counts. */
  field?: string;
  /** The list; without it, the input. */
  items?: Json[] | string;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface ConditionalConfig {
  /** Take the first edge that holds, or all. */
  mode?: "first" | "all";
  /** If no edge holds and there is no default: fail, or end there. */
  on_no_match?: "error" | "skip";
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface ParallelConfig {
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface LoopConfig {
  /** Where a round begins: this node, or one before it. */
  loop_back_to?: string;
  /** CEL over `output`: whether another round is wanted. Required. */
  condition?: string | boolean;
  /** Rounds at most, from 1. Required. */
  max_iterations?: number;
  /** Where to go when no further round is wanted. */
  break_path?: string | string[];
  /** Where to go when all rounds are used up. */
  timeout_path?: string | string[];
  /** Wait between rounds. */
  delay_ms?: number;
  /** What is done in each round. */
  function_name?: string;
  /** Parameters of the function; templates are filled in. */
  params?: Json;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
  /** Parameters of the function. */
  [parameter: string]: unknown;
}

export interface DelayConfig {
  /** How long. */
  delay_ms?: number | string;
  /** How long, such as PT1H30M. */
  duration?: string;
  /** Until when, such as 2026-01-31T08:00:00Z. */
  until?: string;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface MapConfig {
  /** The list: CEL, a template, or a list. Without it, the input. */
  items?: string | Json[];
  /** What is done for each element: one node, or nodes and edges. */
  do: MapBodyGraph | MapBodyNode;
  /** Elements at one time. */
  max_concurrency?: number;
  /** Elements that may fail before the map does. */
  tolerated_failures?: number;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface SubworkflowConfig {
  /** Name of the workflow, or name@version. */
  workflow: string;
  /** False: start it and go on. */
  wait?: boolean;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface WaitConfig {
  /** Name of the signal that is waited for. */
  signal: string;
  /** JSON Schema of what the signal brings. */
  schema?: { [key: string]: Json } | boolean;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}

export interface HumanConfig {
  /** What is to be decided. */
  title?: string;
  /** More about it, for whoever decides. */
  description?: string;
  /** Who may decide. */
  assignees?: string[] | string;
  /** JSON Schema of what is asked for. */
  form?: { [key: string]: Json } | boolean;
  /** Approvals that are needed. */
  required?: number;
  /** What the node takes as its input, instead of what the edges bring. */
  input?: Json;
}
