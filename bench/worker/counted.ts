// Counts what the platform bills for, of objects that are constructed while counting is on. It is off for
// everything that is timed.

import type { Operations } from "../cost.ts";

export type Counts = Record<Exclude<keyof Operations, "gigabyteSeconds">, number>;

const none = (): Counts => ({ requests: 0, rowsRead: 0, rowsWritten: 0, classA: 0, classB: 0 });

let counts = none();
let isCounting = false;

/** Counts from zero, in objects that are constructed from now on. */
export function beginCounting(): void {
  counts = none();
  isCounting = true;
}

/** What was counted until now; objects that are constructed from now on are not. */
export function endCounting(): Counts {
  isCounting = false;
  return counts;
}

type AnyEnv = Readonly<Record<string, unknown>>;

/** The bindings of an object, as it is to see them. */
export function counted<Env>(ctx: DurableObjectState, env: Env): Env {
  if (!isCounting) return env;
  countStorage(ctx.storage);
  return Object.fromEntries(
    Object.entries(env as AnyEnv).map(([name, binding]) => [
      name,
      name === "BUCKET"
        ? countedBucket(binding as R2Bucket)
        : isNamespace(binding)
          ? countedNamespace(binding)
          : binding,
    ]),
  ) as Env;
}

function countStorage(storage: DurableObjectStorage): void {
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    // The cursor knows what it has read once it was read to its end.
    const rows = cursor.toArray();
    counts.rowsRead += cursor.rowsRead;
    counts.rowsWritten += cursor.rowsWritten;
    return {
      toArray: () => rows,
      one: () => rows[0],
      [Symbol.iterator]: () => rows[Symbol.iterator](),
    };
  }) as never;
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (at) => {
    counts.rowsWritten++;
    return setAlarm(at);
  };
}

interface Namespace {
  getByName(name: string): object;
}

const isNamespace = (binding: unknown): binding is Namespace =>
  typeof (binding as Partial<Namespace> | undefined)?.getByName === "function";

const countedNamespace = (namespace: Namespace): Namespace => ({
  getByName: (name) => calling(namespace.getByName(name), () => counts.requests++),
});

const classA = ["put", "list", "createMultipartUpload"];
const classB = ["get", "head"];

const countedBucket = (bucket: R2Bucket): R2Bucket =>
  calling(bucket, (method) => {
    if (classA.includes(method)) counts.classA++;
    if (classB.includes(method)) counts.classB++;
  });

/** The same object, whose calls are told of. */
const calling = <T extends object>(target: T, called: (method: string) => void): T =>
  new Proxy(target, {
    get(on, method) {
      const value: unknown = Reflect.get(on, method);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        called(String(method));
        return Reflect.apply(value, on, args);
      };
    },
  });
