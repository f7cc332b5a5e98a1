// A file of a layer is pure and synchronous unless it is a shell. Looks at the syntax tree, so that
// comments, strings and property names never count.
//   P1. No module of a runtime: `cloudflare:*`, `node:*`.
//   P2. No clock, randomness, timer or network; they come in as arguments.
//   P3. No `async`, `await` or `Promise`. A file that only declares types may name `Promise` in
//       them: it describes what a shell does and runs nothing.
// Scopes are not resolved: a local name like that of a banned global is refused as well.

import { importsOf, layers } from "./layers.ts";
import {
  isTypeScript,
  parse,
  type Place,
  type SourceFile,
  type SyntaxNode,
  type Violation,
  violation,
  walk,
} from "./source-file.ts";

/** The files that do I/O. Adding one is a decision about the architecture. */
const shells = [
  /^worker\//,
  /^cli\/(?!ingest\/column-types\.ts$)/,
  /^task\/subtask\.ts$/,
  /^task\/shell\//,
  /^coordinator\/coordinator\.ts$/,
  /^coordinator\/dispatcher\.ts$/,
  /^coordinator\/load-manifest\.ts$/,
  /^coordinator\/manifest-store\.ts$/,
  /^topic\/topic-partition\.ts$/,
  /^snapshot\/shell\//,
];

/** Pure files that describe the calls of a shell beside constants of their own. */
const describeShells = ["format/job-status.ts"];

const clock = "the time comes in as an argument";
const randomness = "randomness comes in as an argument";
const alarm = "waiting is an effect of the shell";
const network = "I/O is an effect of the shell";

const bannedGlobals = new Map([
  ["performance", clock],
  ["crypto", randomness],
  ["setTimeout", alarm],
  ["setInterval", alarm],
  ["setImmediate", alarm],
  ["queueMicrotask", alarm],
  ["fetch", network],
  ["caches", network],
  ["WebSocket", network],
  ["Promise", "cores are synchronous"],
]);

const bannedMembers = new Map([
  ["Date.now", clock],
  ["Math.random", randomness],
  ["Temporal.Now", clock],
  ["scheduler.wait", alarm],
]);

export const isPure = (path: string): boolean =>
  Object.hasOwn(layers, path.split("/")[0] ?? "") && !shells.some((shell) => shell.test(path));

export function checkPurity(files: readonly SourceFile[]): Violation[] {
  return files.filter((file) => isTypeScript(file) && isPure(file.path)).flatMap(violationsIn);
}

function violationsIn(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (node: { start: number }, what: string, why: string) =>
    found.push(violation(file, node.start, `${what}: ${why}`));

  for (const { specifier, offset } of importsOf(file)) {
    if (/^(node|cloudflare):/.test(specifier)) {
      found.push(violation(file, offset, `"${specifier}": ${network} (P1)`));
    }
  }

  const promisesAreTypes = declaresOnlyTypes(file) || describeShells.includes(file.path);
  walk(file, (node, place) => {
    const name = node["name"];
    if (node.type === "AwaitExpression" || (node.type === "ForOfStatement" && node["await"])) {
      report(node, "await", "cores are synchronous (P3)");
    } else if (node["async"] === true) {
      report(node, "async", "cores are synchronous (P3)");
    } else if (node.type === "NewExpression" || node.type === "CallExpression") {
      const callee = node["callee"] as SyntaxNode;
      const now = node.type === "CallExpression" || (node["arguments"] as unknown[]).length === 0;
      if (callee["name"] === "Date" && now) report(node, "Date", `${clock} (P2)`);
    } else if (node.type === "MemberExpression") {
      const member = memberName(node);
      const why = bannedMembers.get(member) ?? bannedGlobals.get(member.replace("globalThis.", ""));
      if (why !== undefined) report(node, member, `${why} (P2)`);
    } else if (node.type === "Identifier" && typeof name === "string" && place !== undefined) {
      const isType = isTypeReference(place);
      if (isPropertyName(place) || (isType && name !== "Promise")) return;
      if (isType && promisesAreTypes) return;
      const why = bannedGlobals.get(name);
      if (why !== undefined) report(node, name, `${why} (${name === "Promise" ? "P3" : "P2"})`);
    }
  });
  return found;
}

function declaresOnlyTypes(file: SourceFile): boolean {
  return parse(file).program.body.every((statement) => {
    const declared = "declaration" in statement ? statement.declaration : statement;
    const kind = declared?.type;
    return (
      kind === "TSInterfaceDeclaration" ||
      kind === "TSTypeAliasDeclaration" ||
      (statement.type === "ImportDeclaration" && statement.importKind === "type") ||
      (statement.type === "ExportNamedDeclaration" && statement.exportKind === "type") ||
      (statement.type === "ExportAllDeclaration" && statement.exportKind === "type")
    );
  });
}

/** `Date.now`, however it is written: `Date.now`, `Date["now"]`, `Date?.now`. */
function memberName(node: SyntaxNode): string {
  const object = node["object"] as SyntaxNode;
  const property = node["property"] as SyntaxNode;
  return `${String(object["name"])}.${String(property["name"] ?? property["value"])}`;
}

/** `{ fetch: 1 }`, `service.fetch`, a method called `fetch`: a name, not the global. */
function isPropertyName({ parent, key }: Place): boolean {
  if (parent["computed"] === true) return false;
  if (key === "property") return parent.type === "MemberExpression";
  // Of the shorthand `{ fetch }` the key is skipped too; the value is visited on its own.
  return (
    key === "key" ||
    key === "imported" ||
    key === "exported" ||
    key === "label" ||
    parent.type === "TSQualifiedName"
  );
}

/** Type annotations hold expressions nowhere, except these, which are expressions with a type. */
const typedExpressions = [
  "TSAsExpression",
  "TSSatisfiesExpression",
  "TSNonNullExpression",
  "TSInstantiationExpression",
  "TSParameterProperty",
  "TSExportAssignment",
  "TSAbstractMethodDefinition",
];

function isTypeReference(place: Place): boolean {
  for (let at: Place | undefined = place; at !== undefined; at = at.above) {
    const { type } = at.parent;
    if (type.startsWith("TS") && !typedExpressions.includes(type)) return true;
    if (at.key === "implements") return true;
  }
  return false;
}
