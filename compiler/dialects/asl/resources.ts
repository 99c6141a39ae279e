/**
 * What does the work of a Task: its Resource as a native node.
 *
 *   arn:aws:lambda:…:function:NAME, …:activity:NAME, NAME   the function NAME
 *   …:states:::lambda:invoke                                 the function FunctionName
 *   …:states:::http:invoke                                   an http node
 *   …:states:::states:startExecution.sync                    a subworkflow
 *
 * Other services are refused by their names.
 */
import { asObject, own } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { reportAt, reportLoss } from "../front-end.ts";
import type { FrontContext } from "../front-end.ts";
import { template } from "./cel.ts";
import type { DataFlow } from "./data-flow.ts";
import type { Root } from "./paths.ts";
import { readExpression, toTemplate } from "./payload.ts";
import type { Complain } from "./payload.ts";

export interface Work {
  type: "function" | "http" | "subworkflow";
  /** The config, for what the node's input is called. */
  config: (raw: string) => JsonObject;
  /** The result of the Task over the node's output, `data`. */
  result: Root;
}

/** Kinds of resources, as docs/dialects.md shows them. */
export const RESOURCES: readonly (readonly [resource: string, meaning: string])[] = [
  [
    "`arn:aws:lambda:…:function:NAME`, also with a version",
    "`function` NAME; its input is the event",
  ],
  ["`arn:aws:states:…:activity:NAME`", "`function` NAME"],
  ["`NAME`", "`function` NAME"],
  ["`arn:aws:states:::lambda:invoke`", "`function` of `FunctionName`; its input is `Payload`"],
  ["`arn:aws:states:::http:invoke`", "`http`; the connection's credentials are not taken over"],
  ["`arn:aws:states:::states:startExecution.sync`, `.sync:2`", "`subworkflow` that is waited for"],
  ["`arn:aws:states:::states:startExecution`", "`subworkflow` with `wait: false`"],
  ["`….waitForTaskToken`", "refused: use a `wait` node"],
  ["every other service", "refused by name: call a function"],
];

interface TaskPlace {
  state: JsonObject;
  pointer: string;
  flow: DataFlow;
  context: FrontContext;
  complain: Complain;
}

/** The work of a Task; a problem is reported and replaced by a function without a name. */
export function readResource(place: TaskPlace): Work {
  const { state, pointer, context } = place;
  const resource = own(state, "Resource");
  const at = joinPointer(pointer, "Resource");
  if (typeof resource !== "string" || resource === "") {
    reportAt(context, "GV1012", pointer, "`Resource` is missing: it names the function");
    return functionWork("missing", place);
  }
  const integration = /^arn:[a-z-]+:states:[^:]*:[^:]*:([A-Za-z0-9-]+:[A-Za-z0-9.:-]+)$/.exec(
    resource,
  );
  if (integration && !(integration[1] ?? "").startsWith("activity:")) {
    return readIntegration(integration[1] ?? "", at, place);
  }
  const lambda = /^arn:[a-z-]+:lambda:[^:]*:[^:]*:function:([^:]+)(?::[^:]+)?$/.exec(resource);
  const activity = /^arn:[a-z-]+:states:[^:]*:[^:]*:activity:(.+)$/.exec(resource);
  const name = lambda?.[1] ?? activity?.[1] ?? resource;
  if (name.startsWith("arn:") || !/^[A-Za-z0-9_.:/@-]+$/.test(name)) {
    const message = `the resource \`${resource}\` is not supported`;
    reportAt(context, "GV5001", at, message, "name a function, or a Lambda function's ARN");
    return functionWork("missing", place);
  }
  return functionWork(name, place);
}

function functionWork(name: string, { flow }: TaskPlace): Work {
  return {
    type: "function",
    config: (raw) => {
      const input = flow.payload(raw, "Parameters");
      return { function_name: name, ...(input === undefined ? {} : { input }) };
    },
    result: { cel: "data" },
  };
}

function readIntegration(service: string, at: string, place: TaskPlace): Work {
  const { context } = place;
  if (service === "lambda:invoke") return lambdaInvoke(place);
  if (service === "http:invoke") return httpInvoke(place);
  if (/^states:startExecution(?:\.sync(?::2)?)?$/.test(service)) {
    return startExecution(service, place);
  }
  const isToken = service.endsWith(".waitForTaskToken");
  const message = `the service \`${service}\` is not supported`;
  const hint = isToken
    ? "start the work in one state and wait for its signal with a native `wait` node"
    : "call a function that uses the service, or its address with http:invoke";
  reportAt(context, "GV5001", at, message, hint);
  return functionWork("missing", place);
}

/** A parameter that must be said literally. */
function literalParameter(place: TaskPlace, key: string): string | undefined {
  const { state, pointer, context } = place;
  const parameters = asObject(own(state, "Parameters")) ?? {};
  const value = own(parameters, key);
  if (typeof value === "string") return value;
  const at = joinPointer(pointer, "Parameters");
  const dynamic = joinPointer(at, `${key}.$`);
  if (own(parameters, `${key}.$`) === undefined) {
    reportAt(context, "GV1012", at, `\`${key}\` is missing in Parameters`);
  } else {
    const message = `\`${key}.$\` is not supported: what is called must be known before the run`;
    reportAt(context, "GV5001", dynamic, message, `write \`${key}\``);
  }
  return undefined;
}

/** The template of one parameter, under `key` or `key.$`; undefined if there is neither. */
function parameter(place: TaskPlace, key: string, root: string): Json | undefined {
  const { state, pointer, flow, complain } = place;
  const parameters = asObject(own(state, "Parameters")) ?? {};
  const scope = { root: { cel: root }, place: flow.place };
  const at = joinPointer(pointer, "Parameters", key);
  const plain = own(parameters, key);
  if (plain !== undefined) return toTemplate(plain, scope, at, complain);
  const dynamic = own(parameters, `${key}.$`);
  if (typeof dynamic !== "string") return undefined;
  return template(readExpression(dynamic, scope, `${at}.$`, complain));
}

/** Parameters that have no equal. */
function reportOthers(place: TaskPlace, known: readonly string[], lost: readonly string[]): void {
  const parameters = asObject(own(place.state, "Parameters")) ?? {};
  for (const key of Object.keys(parameters)) {
    const name = key.replace(/\.\$$/, "");
    if (known.includes(name)) continue;
    const at = joinPointer(place.pointer, "Parameters", key);
    const message = `the parameter \`${key}\` has no equal here`;
    if (lost.includes(name)) reportLoss(place.context, at, `${message}: it is left out`);
    else reportAt(place.context, "GV5001", at, `${message}`);
  }
}

function lambdaInvoke(place: TaskPlace): Work {
  reportOthers(place, ["FunctionName", "Payload"], ["Qualifier", "LogType", "ClientContext"]);
  const name = literalParameter(place, "FunctionName") ?? "missing";
  const short = /^arn:[^:]*:lambda:[^:]*:[^:]*:function:([^:]+)/.exec(name)?.[1];
  const plain = short ?? name.replace(/:[^:]*$/, "");
  return {
    type: "function",
    config: (raw) => {
      const input = parameter(place, "Payload", place.flow.input(raw));
      return { function_name: plain, input: input ?? {} };
    },
    result: {
      cel: '{"ExecutedVersion": "$LATEST", "Payload": data, "StatusCode": 200}',
      fields: { Payload: "data", StatusCode: "200", ExecutedVersion: '"$LATEST"' },
    },
  };
}

const HTTP_PARAMETERS: Readonly<Record<string, string>> = {
  ApiEndpoint: "url",
  Method: "method",
  Headers: "headers",
  QueryParameters: "query",
  RequestBody: "body",
};

function httpInvoke(place: TaskPlace): Work {
  const lost = ["Authentication", "InvocationConfig"];
  reportOthers(place, Object.keys(HTTP_PARAMETERS), [...lost, "Transform"]);
  return {
    type: "http",
    config: (raw) => {
      const root = place.flow.input(raw);
      const config: JsonObject = {};
      for (const [key, ours] of Object.entries(HTTP_PARAMETERS)) {
        const value = parameter(place, key, root);
        if (value !== undefined) config[ours] = value;
      }
      return { ...config, output: "response" };
    },
    result: {
      cel: '{"Headers": data.headers, "ResponseBody": data.body, "StatusCode": data.status}',
      fields: {
        Headers: "data.headers",
        ResponseBody: "data.body",
        StatusCode: "data.status",
      },
    },
  };
}

function startExecution(service: string, place: TaskPlace): Work {
  reportOthers(place, ["StateMachineArn", "Input"], ["Name", "TraceHeader"]);
  const arn = literalParameter(place, "StateMachineArn") ?? "missing";
  const workflow = arn.split(":").at(-1) ?? arn;
  const isWaiting = service.includes(".sync");
  const output = service.endsWith(":2") ? "data" : "toJson(data)";
  const fields = { Output: output, Status: '"SUCCEEDED"' };
  return {
    type: "subworkflow",
    config: (raw) => {
      const input = parameter(place, "Input", place.flow.input(raw)) ?? {};
      return { workflow, ...(isWaiting ? {} : { wait: false }), input };
    },
    result: isWaiting
      ? { cel: `{"Output": ${output}, "Status": "SUCCEEDED"}`, fields }
      : { cel: "data" },
  };
}
