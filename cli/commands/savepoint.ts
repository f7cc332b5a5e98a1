// Savepoints: taken of a job, and looked into, repaired, compared and deleted without one.

import { Command } from "commander";

import { deleteCommand } from "./savepoint/delete.ts";
import { diffCommand } from "./savepoint/diff.ts";
import { exportCommand } from "./savepoint/export.ts";
import { importCommand } from "./savepoint/import.ts";
import { listCommand } from "./savepoint/list.ts";
import { showCommand } from "./savepoint/show.ts";
import { takeCommand } from "./savepoint/take.ts";
import { verifyCommand } from "./savepoint/verify.ts";

export const savepointCommand = (interrupted: AbortSignal): Command =>
  new Command("savepoint")
    .description(
      "take a savepoint of a job; list savepoints, look into them, export and import, verify, compare, delete",
    )
    .usage("[options] <job> | <command>")
    .helpCommand(false)
    .addCommand(takeCommand(interrupted), { isDefault: true })
    .addCommand(listCommand(interrupted))
    .addCommand(showCommand(interrupted))
    .addCommand(exportCommand(interrupted))
    .addCommand(importCommand(interrupted))
    .addCommand(verifyCommand(interrupted))
    .addCommand(diffCommand(interrupted))
    .addCommand(deleteCommand(interrupted))
    .addHelpText(
      "after",
      `
"tidemark savepoint JOB" is "tidemark savepoint take JOB". An ID is the folder of a savepoint below
savepoints/, as "list" shows it, or its whole location, or jobs/<job>/chk-<n> for a checkpoint.

Examples:
  $ tidemark savepoint 3f --wait
  $ tidemark savepoint export savepoint-3f…-12 -o state.ndjson
  $ tidemark savepoint import state.ndjson --as repaired
  $ tidemark savepoint diff savepoint-3f…-12 state.ndjson`,
    );
