// What a job was started with beside its program: arguments as a command line has them, which its
// build function reads. In the manner of Flink's ParameterTool.
//   A1. The same arguments are the same parameters, wherever and whenever they are read: every object
//       builds the job's graph for itself.
//   A2. A parameter that is missing, or is not what it is read as, is an error that names it. So the
//       submission is refused, and no job begins.

import { ParameterError } from "./errors.ts";
import { shown } from "./names.ts";

/**
 * The arguments that a job was started with. Read them in the build function: what is read there is
 * checked before the job starts.
 *
 * @example
 * const airport = env.parameters.get("airport", "SFO");
 * const worst = env.parameters.getInt("worst", 10);
 */
export interface ProgramParameters {
  /** Whether it was given, with a value or as a flag. */
  has(name: string): boolean;
  /** A text; `otherwise` where it was not given. */
  get(name: string): string | undefined;
  get(name: string, otherwise: string): string;
  /** A text that must be given. */
  getRequired(name: string): string;
  /** A whole number; without `otherwise` it must be given. */
  getInt(name: string, otherwise?: number): number;
  /** A number; without `otherwise` it must be given. */
  getDouble(name: string, otherwise?: number): number;
  /** A flag, or true or false in so many letters; without `otherwise` it must be given. */
  getBoolean(name: string, otherwise?: boolean): boolean;
  /** All that was given; a flag is "true". */
  toMap(): ReadonlyMap<string, string>;
}

/** What a flag has for a value. */
const flag = Symbol("flag");

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const numberPattern = /^-\d|^-\.\d/;
const forms = "--name value, --name=value and --flag";

export class ParsedParameters implements ProgramParameters {
  readonly #values: ReadonlyMap<string, string | typeof flag>;
  readonly #read = new Set<string>();

  /** @throws ParameterError where they are no arguments. */
  constructor(args: readonly string[]) {
    this.#values = valuesOf(args);
  }

  /** What was given and nobody has asked for. */
  get unread(): string[] {
    return [...this.#values.keys()].filter((name) => !this.#read.has(name));
  }

  /** What was asked for. */
  get read(): string[] {
    return [...this.#read].sort();
  }

  has(name: string): boolean {
    this.#read.add(name);
    return this.#values.has(name);
  }

  get(name: string): string | undefined;
  get(name: string, otherwise: string): string;
  get(name: string, otherwise?: string): string | undefined {
    this.#read.add(name);
    const value = this.#values.get(name);
    if (value !== flag) return value ?? otherwise;
    throw badValue(name, "no value", "--name value");
  }

  getRequired(name: string): string {
    return this.get(name) ?? missing(name);
  }

  getInt(name: string, otherwise?: number): number {
    return this.#parsed(name, otherwise, "a whole number", (text) => {
      const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
      return Number.isSafeInteger(value) ? value : undefined;
    });
  }

  getDouble(name: string, otherwise?: number): number {
    return this.#parsed(name, otherwise, "a number", (text) => {
      const value = text.trim() === "" ? NaN : Number(text);
      return Number.isFinite(value) ? value : undefined;
    });
  }

  getBoolean(name: string, otherwise?: boolean): boolean {
    this.#read.add(name);
    if (this.#values.get(name) === flag) return true;
    return this.#parsed(name, otherwise, "true or false", (text) => {
      if (/^true$/i.test(text)) return true;
      return /^false$/i.test(text) ? false : undefined;
    });
  }

  toMap(): ReadonlyMap<string, string> {
    for (const name of this.#values.keys()) this.#read.add(name);
    return new Map([...this.#values].map(([name, value]) => [name, textOf(value)]));
  }

  #parsed<T>(
    name: string,
    otherwise: T | undefined,
    allowed: string,
    parse: (text: string) => T | undefined,
  ): T {
    const text = this.get(name);
    if (text === undefined) return otherwise ?? missing(name);
    const value = parse(text);
    if (value === undefined) throw badValue(name, shown(text), allowed);
    return value;
  }
}

/** Parameters as people are shown them: `--airport` with its value, a flag with "true". */
export const shownParameters = (args: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    [...new ParsedParameters(args).toMap()].map(([name, value]) => [`--${name}`, value]),
  );

const textOf = (value: string | typeof flag): string => (value === flag ? "true" : value);

function valuesOf(args: readonly string[]): Map<string, string | typeof flag> {
  const values = new Map<string, string | typeof flag>();
  for (let at = 0; at < args.length; at++) {
    const text = args[at]!;
    const bare = nameOf(text);
    if (bare === undefined) {
      throw new ParameterError(
        "BAD_ARGUMENTS",
        undefined,
        `${shown(text)} is no parameter, and it follows none. Allowed: ${forms}.`,
      );
    }
    const equals = bare.indexOf("=");
    const name = equals === -1 ? bare : bare.slice(0, equals);
    if (!namePattern.test(name)) {
      throw new ParameterError(
        "BAD_ARGUMENTS",
        name,
        `${shown(text)} names no parameter. Allowed: ${forms}, where a name is a letter and up to 63 ` +
          `letters, digits and _ . - after it.`,
      );
    }
    const next = args[at + 1];
    if (equals !== -1) values.set(name, bare.slice(equals + 1));
    else if (next === undefined || nameOf(next) !== undefined) values.set(name, flag);
    else {
      values.set(name, next);
      at++;
    }
  }
  return values;
}

/** What follows the dashes; undefined for a value, which a negative number is. */
function nameOf(text: string): string | undefined {
  if (!text.startsWith("-") || numberPattern.test(text)) return undefined;
  return text.replace(/^--?/, "");
}

function missing(name: string): never {
  throw new ParameterError(
    "MISSING",
    name,
    `The program needs the parameter --${name}, and it was not given.`,
  );
}

const badValue = (name: string, found: string, allowed: string): ParameterError =>
  new ParameterError(
    "BAD_VALUE",
    name,
    `The parameter --${name} was given ${found}. Allowed: ${allowed}.`,
  );
