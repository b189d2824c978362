// A certified OpenID provider (npm oidc-provider) on a free port, over TLS with a certificate of its own. It asks for a name and believes it.

import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import { join } from "node:path";

export class OpenIdProvider {
  // Made before the portal starts, which has to know the issuer and the root. `id` is its name at the portal, and `folder` its own.
  static async start(folder, id) {
    const provider = new OpenIdProvider();
    provider.id = id;
    const made = spawnSync("openssl", [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", join(folder, "op.key"), "-out", join(folder, "op.pem"),
    ]);
    if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
    provider.ca = join(folder, "op.pem");
    const cert = readFileSync(provider.ca);
    const { publicKey } = new X509Certificate(cert);
    provider.key = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
    provider.server = https.createServer({ key: readFileSync(join(folder, "op.key")), cert, minVersion: "TLSv1.3" });
    await new Promise((done) => provider.server.listen(0, "localhost", done));
    provider.issuer = `https://localhost:${provider.server.address().port}`;
    return provider;
  }

  // What it needs to know of the portal.
  async serve(origin, secret) {
    const { default: Provider } = await import("oidc-provider");
    const op = new Provider(this.issuer, {
      clients: [{
        client_id: "sealwright",
        client_secret: secret,
        redirect_uris: [`${origin}/v1/oidc/${this.id}/callback`],
        response_types: ["code"],
        grant_types: ["authorization_code"],
        token_endpoint_auth_method: "client_secret_basic",
      }],
      pkce: { required: () => true },
      ttl: { AccessToken: 900, IdToken: 900, AuthorizationCode: 60, Grant: 900, Interaction: 600, Session: 900 },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: "alice@victim.example", email_verified: true }) }),
    });
    this.server.on("request", op.callback());
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
