// Bearer tokens, as the secrets of a deployment list them, and the constant-time search among them.
//   T1. No message of this file contains any part of a secret's value, only its name and line.
//   T2. A secret with a mistake in it makes all of them void: nobody gets in by a half-read list.
//   T3. Tokens are compared by SHA-256 digest and all of them every time, so neither the length of a
//       token nor its place in the list shows in how long an answer takes.

import * as z from "zod";

import type { Grant } from "./scopes.ts";

/** The secret with the tokens; others may follow it as `TIDEMARK_TOKENS_…`, one per client, say. */
export const tokensSecret = "TIDEMARK_TOKENS";

/** Characters of a token. 32 hex digits are 128 bits, which nobody guesses. */
const tokenLength = { least: 32, most: 256 } as const;

export interface Token {
  readonly digest: Uint8Array;
  readonly grant: Grant;
}

export type Tokens =
  | { readonly kind: "none" }
  | { readonly kind: "listed"; readonly tokens: readonly Token[] }
  | { readonly kind: "malformed"; readonly problems: readonly string[] };

const name = "[A-Za-z0-9_.-]{1,64}";
const scopePattern = new RegExp(`^(?:admin|read|ingest(?::${name}(?:,${name})*)?)$`);

const grant = z
  .string()
  .regex(scopePattern, 'the scope must be "admin", "read", "ingest" or "ingest:topic,topic"')
  .transform((text): Grant => {
    const [scope, topics] = text.split(":") as [Grant["scope"], string?];
    return topics === undefined ? { scope } : { scope, topics: new Set(topics.split(",")) };
  });

const hashMark = "sha256:";

/** A token or its digest. What may stand in an Authorization header is RFC 6750's `b64token`. */
const credential = z.union(
  [
    z.string().regex(/^sha256:[0-9a-f]{64}$/i),
    z
      .string()
      .min(tokenLength.least)
      .max(tokenLength.most)
      .regex(/^[A-Za-z0-9._~+/-]+=*$/),
  ],
  `the token must be ${tokenLength.least} to ${tokenLength.most} letters, digits or any of ` +
    `"-._~+/", with "=" only at the end, or "${hashMark}" and the 64 hex digits of its SHA-256`,
);

const line = z.tuple([grant, credential], 'must be "scope token"');

/** What the secrets among `bindings` allow. */
export async function tokensOf(bindings: Readonly<Record<string, unknown>>): Promise<Tokens> {
  const secrets = Object.entries(bindings).filter(
    ([binding]) => binding === tokensSecret || binding.startsWith(`${tokensSecret}_`),
  );
  const tokens: Promise<Token>[] = [];
  const problems: string[] = [];
  for (const [secret, value] of secrets) {
    if (typeof value !== "string") {
      problems.push(`${secret} is not a text.`);
      continue;
    }
    for (const [index, text] of value.split(/\r?\n|;/).entries()) {
      const words = text.trim().split(/\s+/);
      if (words[0] === "" || words[0]?.startsWith("#")) continue;
      const parsed = line.safeParse(words);
      if (parsed.success) {
        const [granted, secretText] = parsed.data;
        tokens.push(digestOf(secretText).then((digest) => ({ digest, grant: granted })));
      } else {
        const what = parsed.error.issues.map(({ message }) => message).join("; ");
        problems.push(`${secret}, entry ${index + 1}: ${what}.`);
      }
    }
  }
  if (problems.length > 0) return { kind: "malformed", problems };
  if (tokens.length === 0) return { kind: "none" };
  return { kind: "listed", tokens: await Promise.all(tokens) };
}

async function digestOf(credentialText: string): Promise<Uint8Array> {
  return credentialText.startsWith(hashMark)
    ? Uint8Array.fromHex(credentialText.slice(hashMark.length))
    : sha256(credentialText);
}

export async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

// An addition of workerd's to the standard, so Node's types do not have it.
const { subtle } = crypto as unknown as {
  readonly subtle: { timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean };
};

/** What the token with this digest may do; nothing where it is not listed (T3). */
export function grantsOf(tokens: readonly Token[], digest: Uint8Array): Grant[] {
  const found: Grant[] = [];
  for (const token of tokens) {
    if (subtle.timingSafeEqual(token.digest, digest)) found.push(token.grant);
  }
  return found;
}
