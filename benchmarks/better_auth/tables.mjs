// Makes Better Auth's tables in an empty database, by its own migrations.
import { getMigrations } from "better-auth/db/migration";
import { options } from "./auth.mjs";

const { runMigrations } = await getMigrations(options);
await runMigrations();
await options.database.end();
