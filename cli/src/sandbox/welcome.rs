//! What the sandbox says when it is ready.

use freehold_tenancy::clock::seconds;
use secrecy::ExposeSecret;

use super::{Sandbox, SandboxArgs, issuer};
use crate::output;

pub(super) fn welcome(sandbox: &Sandbox, args: &SandboxArgs) -> std::io::Result<()> {
    let api = sandbox.api.url();
    let aws = sandbox.aws.url();
    let token = sandbox.home.directory().join("token");
    let token = token.display();
    let lasts = seconds(issuer::USUAL_TTL.as_secs_f64()).num_hours();
    let key = &sandbox.aws.world().settings().management_access_key;
    output::line(format!(
        "\n\
         Freehold's sandbox is ready. Nothing in it is real. Its clock runs {speed} times as fast as yours.\n\n  \
         API            {api}\n  \
         documentation  {api}/docs\n  \
         simulated AWS  {aws}\n  \
         database       {database}\n  \
         data           {data}\n\n\
         A token for the next {lasts} hours, also in {token}; `freehold token` makes others:\n\n\
         {secret}\n\n\
         Sign a customer up:\n\n  \
         curl -sS {api}/v1/tenants -H \"Authorization: Bearer $(cat {token})\" \\\n    \
         -H 'Content-Type: application/json' -H \"Idempotency-Key: $(date +%s)\" \\\n    \
         -d '{{\"company_name\": \"Example GmbH\", \"admin_email\": \"admin@example.com\", \"home_region\": \"eu-central-1\"}}'\n\n\
         Look into the simulated AWS:\n\n  \
         AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY=any \\\n    \
         aws --endpoint-url {aws} --region us-east-1 organizations list-accounts\n\n\
         Compare it with the database, before or after breaking something in it:\n\n  \
         freehold reconcile --sandbox {aws} \\\n    \
         --database-url '{url}'\n",
        speed = args.speed,
        database = sandbox.database.told().unwrap_or("as --database-url says"),
        url = sandbox.database.told().unwrap_or("…"),
        data = args
            .data
            .as_ref()
            .map_or("thrown away at the end (--data DIR keeps it)".to_owned(), |data| data.display().to_string()),
        secret = sandbox.token.expose_secret(),
    ))?;
    if !args.exit_after_demo {
        output::line("Ctrl-C ends everything that was started.\n")?;
    }
    Ok(())
}
