// What `POST /jars/:id/run` may say, in its body or as query parameters, and what it means here.
// Flink's dashboard sends every field, empty ones as null or "", so those count as absent.

import * as z from "zod";

import { isJobId, type JobId } from "../format/ids.ts";
import { restorableManifest } from "../format/paths.ts";
import { described } from "./contract/described.ts";
import { HttpError } from "./errors.ts";
import { argumentFields, argumentsOf } from "./program-arguments.ts";

export interface RunRequest {
  readonly jobId: JobId | undefined;
  readonly parallelism: number | undefined;
  readonly flinkConfiguration: Readonly<Record<string, string>>;
  /** What the program is built with. */
  readonly programArgs: readonly string[];
  /** The manifest of what the job is to begin with. */
  readonly restore:
    | {
        readonly path: string;
        readonly allowNonRestoredState: boolean;
        /** It is the job's own from now on (CLAIM). */
        readonly claims: boolean;
      }
    | undefined;
}

/** What a request to fork a job may say. */
export interface ForkRequest {
  /** The job's own where absent. */
  readonly program: string | undefined;
  readonly jobId: JobId | undefined;
  readonly parallelism: number | undefined;
  readonly flinkConfiguration: Readonly<Record<string, string>>;
  /** The job's own where absent, unless the program is another. */
  readonly programArgs: readonly string[] | undefined;
  readonly allowNonRestoredState: boolean;
}

const absent = (value: unknown): unknown => (value === null || value === "" ? undefined : value);
const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess(absent, type.optional()).meta(described(type));

const wrongCount = "must be a whole number of at least 1";
const count = z.int(wrongCount).min(1, wrongCount);
const positive = z
  .preprocess(
    (value) => (typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value),
    count,
  )
  .meta(described(count));

const scalar = z
  .union([z.string(), z.number(), z.boolean()], "must be a text, a number or a boolean")
  .transform(String);

const flag = z.union(
  [z.boolean(), z.stringbool({ truthy: ["true"], falsy: ["false"] })],
  "must be true or false",
);

const claimModes = z.enum(["CLAIM", "NO_CLAIM", "LEGACY"]);

// Flink's JarRunRequestBody, and `programArgs`, which its dashboard still sends.
export const runBody = z.strictObject({
  entryClass: optional(z.string()),
  parallelism: optional(positive),
  jobId: optional(z.string().refine(isJobId, "must be 32 lower-case hex digits")),
  flinkConfiguration: optional(z.record(z.string(), scalar)),
  programArgs: optional(argumentFields.programArgs),
  programArgsList: optional(argumentFields.programArgsList),
  savepointPath: optional(z.string()),
  allowNonRestoredState: optional(flag),
  claimMode: optional(claimModes),
  restoreMode: optional(claimModes),
});

export const forkBody = runBody
  .pick({
    parallelism: true,
    jobId: true,
    flinkConfiguration: true,
    programArgs: true,
    programArgsList: true,
    allowNonRestoredState: true,
  })
  .extend({ programId: optional(z.string()) });

type Body = z.infer<typeof runBody>;

/** The body's names of the query parameters. A parameter overrides the body's field. */
const parameters: ReadonlyMap<string, keyof Body> = new Map([
  ["entry-class", "entryClass"],
  ["parallelism", "parallelism"],
  ["programArg", "programArgsList"],
  ["program-args", "programArgs"],
  ["savepointPath", "savepointPath"],
  ["allowNonRestoredState", "allowNonRestoredState"],
]);

/** The request to run `program`. @throws HttpError that says which field is wrong, and how */
export function runRequestOf(
  program: string,
  text: string,
  query: Readonly<Record<string, string>>,
): RunRequest {
  const data = read(`run "${program}"`, runBody, { ...objectOf(text), ...fieldsOf(query) });
  refuseUnsupported(program, data);
  return {
    jobId: data.jobId as JobId | undefined,
    parallelism: data.parallelism,
    flinkConfiguration: data.flinkConfiguration ?? {},
    programArgs: argumentsOf(data),
    restore: restoreOf(data),
  };
}

/** The request to fork `job`. @throws HttpError that says which field is wrong, and how */
export function forkRequestOf(job: JobId, text: string): ForkRequest {
  const data = read(`fork job ${job}`, forkBody, objectOf(text));
  const hasArguments = (data.programArgs ?? data.programArgsList) !== undefined;
  return {
    program: data.programId,
    jobId: data.jobId as JobId | undefined,
    parallelism: data.parallelism,
    flinkConfiguration: data.flinkConfiguration ?? {},
    programArgs: hasArguments ? argumentsOf(data) : undefined,
    allowNonRestoredState: data.allowNonRestoredState ?? false,
  };
}

function read<T extends z.ZodObject>(what: string, schema: T, value: unknown): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new HttpError(400, `Bad request to ${what}: ${explain(parsed.error, schema)}`);
}

function restoreOf(data: Body): RunRequest["restore"] {
  const { savepointPath, allowNonRestoredState = false } = data;
  const claims = claimsOf(data);
  if (savepointPath === undefined) {
    if (!claims) return undefined;
    throw new HttpError(400, "claimMode: CLAIM needs a savepointPath to claim.");
  }
  const path = restorableManifest(savepointPath);
  if (path !== undefined) return { path, allowNonRestoredState, claims };
  throw new HttpError(
    400,
    `savepointPath: "${savepointPath}" is neither a savepoint (savepoints/…, the location that it was ` +
      `answered with) nor a checkpoint (jobs/…/chk-…, its external_path).`,
  );
}

function objectOf(text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new HttpError(400, "The body must be a JSON object.");
}

function fieldsOf(query: Readonly<Record<string, string>>): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const field = parameters.get(name);
    if (field === undefined) {
      const allowed = [...parameters.keys()].join(", ");
      throw new HttpError(400, `Unknown query parameter "${name}". Allowed: ${allowed}.`);
    }
    if (value === "") continue;
    // Flink separates them by commas here.
    fields[field] = field === "programArgsList" ? value.split(",") : value;
  }
  return fields;
}

function explain(error: z.ZodError, { shape }: z.ZodObject): string {
  return error.issues
    .map((issue) => {
      if (issue.code === "unrecognized_keys") {
        const allowed = Object.keys(shape).join(", ");
        return `unknown field "${issue.keys.join('", "')}" (allowed: ${allowed})`;
      }
      return `${issue.path.join(".")}: ${issue.message}`;
    })
    .join("; ");
}

function refuseUnsupported(program: string, data: Body): void {
  if (data.entryClass !== undefined && data.entryClass !== program) {
    throw new HttpError(
      400,
      `entryClass: "${data.entryClass}" is not in "${program}", which is its own entry.`,
    );
  }
}

/** Flink's clients say it by either name. */
function claimsOf({ claimMode, restoreMode }: Body): boolean {
  if (claimMode !== undefined && restoreMode !== undefined && claimMode !== restoreMode) {
    throw new HttpError(
      400,
      `claimMode ${claimMode} and restoreMode ${restoreMode} are two names of one setting; give one.`,
    );
  }
  const mode = claimMode ?? restoreMode;
  if (mode !== "LEGACY") return mode === "CLAIM";
  throw new HttpError(
    400,
    "claimMode: LEGACY left open who deletes the savepoint, and Flink has removed it. Use NO_CLAIM " +
      "(it stays yours) or CLAIM (the job deletes it when it needs it no longer).",
  );
}
