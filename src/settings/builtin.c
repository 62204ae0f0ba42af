/* SPDX-License-Identifier: MIT */
/* The routes of a Supabase project, written as an operator would write them. Longest prefix wins, so the exceptions stand beside the rule;
 * what is denied answers 404, and so does everything that is not here: studio, /pg, tenant administration. */
#include "read.h"

static const char hosted[] =
    "- { path: /rest/v1, access: public }\n"
    "- { path: /graphql/v1, access: public }\n"
    "- { path: /functions/v1, access: public }\n"
    "- { path: /storage/v1, access: public }\n"
    "- { path: /realtime/v1, access: public }\n"
    "- { path: /realtime/v1/api/tenants, access: denied }\n"
    "- { path: /realtime/v1/api/openapi, access: denied }\n"
    "- { path: /auth/v1, access: open }\n"
    "- { path: /auth/v1/admin, access: public }\n" /* meets service_callers */
    "- { path: /auth/v1/invite, access: public }\n"
    "- { path: /.well-known/oauth-authorization-server, access: open }\n";

static const char self_hosted[] = "- { path: /sso/saml/acs, access: open }\n"
                                  "- { path: /sso/saml/metadata, access: open }\n";

const char *builtin_routes(struct str name) {
    static char both[sizeof(hosted) + sizeof(self_hosted)];
    if (str_eq(name, STR("none")))
        return "";
    if (str_eq(name, STR("supabase")))
        return hosted;
    memcpy(both, hosted, sizeof(hosted) - 1);
    memcpy(both + sizeof(hosted) - 1, self_hosted, sizeof(self_hosted));
    return both;
}
