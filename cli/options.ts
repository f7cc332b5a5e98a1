// Options that every command has, and how option values are read.

import { type Command, InvalidArgumentError, Option } from "commander";

import { timeSpanOf } from "../stream/duration.ts";
import { Api } from "./api.ts";

interface GlobalOptions {
  readonly url: URL;
  readonly token?: string;
  readonly json: boolean;
  readonly timeout: number;
}

/** What a command works with. */
export interface Session {
  readonly api: Api;
  readonly isJson: boolean;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** The address of `wrangler dev`. */
const localUrl = "http://127.0.0.1:8787";
const timeoutDefault = "30s";

export const globalOptions = (): Option[] => [
  new Option("--url <url>", "where the deployment is")
    .env("TIDEMARK_URL")
    .default(new URL(localUrl), localUrl)
    .argParser(urlFrom),
  // Shown neither as a default nor in a message; a command line can be read by other users.
  new Option("--token <token>", "sent as a bearer token; better given in the environment").env(
    "TIDEMARK_TOKEN",
  ),
  new Option("--json", "print one JSON document").default(false, "text for people"),
  durationOption("--timeout <duration>", "how long one request may take", timeoutDefault),
];

/** An option with a duration, whose default `--help` shows as it is written here. */
export const durationOption = (flags: string, description: string, text: string): Option =>
  new Option(flags, description).default(durationFrom(text), text).argParser(durationFrom);

/** The session that the options of `command` ask for. */
export function sessionOf(command: Command, signal: AbortSignal): Session {
  const { url, token, json, timeout } = command.optsWithGlobals<GlobalOptions>();
  const api = new Api({ url, token: token === "" ? undefined : token, timeout, signal });
  return { api, isJson: json, signal };
}

export function urlFrom(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError("It must begin with http:// or https://.");
  }
  if (url.username !== "" || url.password !== "") {
    throw new InvalidArgumentError("It may hold no user and password; use --token.");
  }
  if (url.search !== "" || url.hash !== "") {
    throw new InvalidArgumentError("It may hold no ? and no #.");
  }
  return url;
}

export function durationFrom(text: string): number {
  const milliseconds = timeSpanOf(text);
  if (milliseconds !== undefined && milliseconds > 0) return milliseconds;
  throw new InvalidArgumentError('It must be a duration such as "500ms", "30s" or "2 min".');
}

/** A parser of whole numbers from `least` to `most`. */
export const wholeFrom =
  (least: number, most: number = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    const range =
      most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };

/** Gathers `key=value` arguments. */
export function settingFrom(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be key=value.");
  return { ...before, [text.slice(0, at).trim()]: text.slice(at + 1).trim() };
}
