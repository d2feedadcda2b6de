// Better Auth as its documentation sets it up: PostgreSQL by `pg`, sign-in by e-mail address and
// password, the admin plugin, credentials as bearer tokens. No limits of rate: everybody here
// has one address.
import { hash, verify } from "@node-rs/argon2";
import { betterAuth } from "better-auth";
import { admin, bearer } from "better-auth/plugins";
import pg from "pg";

// The directory's parameters: argon2id, 19 MiB, two passes, one lane.
const COST = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

export const options = {
  baseURL: process.env.PEER_URL,
  secret: process.env.PEER_SECRET_KEY,
  database: new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 8 }),
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (password) => hash(password, COST),
      verify: ({ hash, password }) => verify(hash, password),
    },
  },
  user: { additionalFields: { tenant: { type: "string", required: false, input: false } } },
  plugins: [admin(), bearer()],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
};

export const auth = betterAuth(options);
