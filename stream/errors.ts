// The errors a user of Tidemark meets in their own code: while a job is defined (`GraphError`,
// `ConfigError`), while its arguments are read (`ParameterError`) and while it runs (`UserCodeError`). Each says what, where, what is allowed and what
// to do next; `code` is a closed set, so programs can tell them apart.

/** What is wrong with a job's definition. */
export type GraphErrorCode =
  | "BAD_NAME"
  | "BAD_UID"
  | "BAD_PARALLELISM"
  | "BAD_PARTITIONS"
  | "BAD_ARGUMENT"
  | "BAD_AGGREGATES"
  | "DUPLICATE_UID"
  | "DUPLICATE_TABLE"
  | "DUPLICATE_FILES"
  | "TOPIC_CONFLICT"
  | "NOT_KEYED"
  | "TAKES_NO_CHANGES"
  | "NO_SIDE_OUTPUT"
  | "NO_EVENT_TIME"
  | "FOREIGN_STREAM"
  | "JOB_CLOSED"
  | "ASYNC_BUILD"
  | "NO_SOURCE"
  | "NO_SINK"
  | "NO_CONSUMER";

/**
 * A job's definition makes no sense. Thrown by `defineJob` and by what is called inside it, before
 * anything runs; the program must be changed.
 *
 * @example
 * try { defineJob("empty", () => {}); }
 * catch (error) { if (error instanceof GraphError) console.log(error.code); } // "NO_SOURCE"
 */
export class GraphError extends Error {
  readonly code: GraphErrorCode;
  /** Of the operator that is wrong, where there is one. */
  readonly uid: string | undefined;

  constructor(code: GraphErrorCode, message: string, uid?: string) {
    super(message);
    this.name = "GraphError";
    this.code = code;
    this.uid = uid;
  }
}

/** The refusal of one call on a stream: who `found` is said of, and what would have been right. */
export function refusal(
  code: GraphErrorCode,
  method: string,
  options: { readonly uid: string } | undefined,
  found: string,
  allowed: string,
): GraphError {
  const uid = options?.uid;
  const who = uid === undefined ? method : `Operator "${uid}" (${method})`;
  return new GraphError(code, `${who} ${found}. Allowed: ${allowed}.`, uid);
}

/**
 * A setting is unknown or has a value that is not allowed. Thrown by `defineJob` for its options and
 * by `applyFlinkConfiguration`; `key` is spelled as the caller spelled it.
 *
 * @example
 * try { applyFlinkConfiguration(config, { "parallelism.default": "zero" }); }
 * catch (error) { if (error instanceof ConfigError) console.log(error.key); } // "parallelism.default"
 */
export class ConfigError extends Error {
  readonly code: "UNKNOWN_SETTING" | "BAD_VALUE";
  readonly key: string;

  constructor(code: ConfigError["code"], key: string, message: string) {
    super(message);
    this.name = "ConfigError";
    this.code = code;
    this.key = key;
  }
}

/**
 * A job's arguments are not what its program reads: one is missing (`MISSING`), has another type
 * (`BAD_VALUE`), or there is no parameter in them (`BAD_ARGUMENTS`). Thrown while the build function
 * reads `env.parameters`; the submission is refused with its message.
 *
 * @example
 * new ParameterError("MISSING", "airport", "…").parameter // "airport"
 */
export class ParameterError extends Error {
  readonly code: "MISSING" | "BAD_VALUE" | "BAD_ARGUMENTS";
  /** Its name without dashes, where one is known. */
  readonly parameter: string | undefined;

  constructor(code: ParameterError["code"], parameter: string | undefined, message: string) {
    super(message);
    this.name = "ParameterError";
    this.code = code;
    this.parameter = parameter;
  }
}

/**
 * A function of the user's threw while the job ran, or returned what it must not. `cause` is what it
 * threw. Fails the attempt; the restart strategy decides what follows.
 *
 * @example
 * new UserCodeError("by-origin", "aggregate", 17, new TypeError("f.delay is undefined")).message
 * // 'Operator "by-origin" (aggregate) failed on row 17 of its batch: TypeError: f.delay is undefined'
 */
export class UserCodeError extends Error {
  readonly uid: string;

  /** `row` is undefined where it failed on no row in particular. */
  constructor(uid: string, operator: string, row: number | undefined, cause: unknown) {
    const place = row === undefined ? "" : ` on row ${row} of its batch`;
    super(`Operator "${uid}" (${operator}) failed${place}: ${String(cause)}`, { cause });
    this.name = "UserCodeError";
    this.uid = uid;
  }
}

/**
 * State cannot be used as the program says: a checkpoint holds it in another kind or schema version
 * (`STATE_KIND`, `STATE_VERSION`), or it has outgrown its memory budget (`STATE_OVER_BUDGET`). Fails
 * the attempt; the message says what to change.
 *
 * @example
 * new StateError("STATE_OVER_BUDGET", "…", "by-origin").uid // "by-origin"
 */
export class StateError extends Error {
  readonly code: "STATE_KIND" | "STATE_VERSION" | "STATE_OVER_BUDGET";
  readonly uid: string;

  constructor(code: StateError["code"], message: string, uid: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StateError";
    this.code = code;
    this.uid = uid;
  }
}
