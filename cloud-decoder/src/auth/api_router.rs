//! A router whose routes declare their access.
//!
//! [`ApiRouter`] takes the access of a route together with its handler, and hands out a table of them with the
//! finished router. The authentication layer looks up each request in the table, by the route that axum has
//! matched and the method. A route that is not in the table, because it was added to the inner router in another
//! way, needs the scope `admin`: nothing is open by accident.

use std::{collections::HashMap, convert::Infallible, future::Future};

use axum::{
    Router,
    body::Body,
    extract::Request,
    handler::Handler,
    http::Method,
    response::IntoResponse,
    routing::{MethodRouter, delete, get, post},
};
use tonic::server::NamedService;
use tower::{Service, ServiceExt as _};

use super::Scope;

/// The access of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone, without a key.
    Open,
    /// Clients whose key has this scope.
    Needs(Scope),
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Needs(scope)
    }
}

/// The access of the methods of a gRPC service.
#[derive(Debug, Clone, Copy)]
pub struct ServiceAccess {
    /// The access of methods that are not listed.
    pub default: Access,
    /// The access of single methods, by their names.
    pub methods: &'static [(&'static str, Access)],
}

/// The access of all routes of a router.
#[derive(Debug, Clone, Default)]
pub struct AccessTable {
    /// By the path as axum matches it, such as `/v1/bundles/{name}`.
    routes: HashMap<String, Vec<(Method, Access)>>,
    /// By the name of the gRPC service, such as `lopside.v1.DecoderService`.
    services: HashMap<&'static str, ServiceAccess>,
}

/// A router with the access of each of its routes.
#[derive(Debug)]
pub struct ApiRouter<S = ()> {
    router: Router<S>,
    access: AccessTable,
}

impl AccessTable {
    /// Returns the access that a request needs. `matched` is the path of its route, `None` if no route matches.
    pub(super) fn required(&self, method: &Method, path: &str, matched: Option<&str>) -> Access {
        if let Some((service, call)) = path.strip_prefix('/').and_then(|path| path.split_once('/'))
            && let Some(access) = self.services.get(service)
        {
            let listed = access.methods.iter().find(|(name, _)| *name == call);
            return listed.map_or(access.default, |(_, access)| *access);
        }
        // Nothing is behind an unknown path, but only clients with a key need to learn that.
        let Some(matched) = matched else { return Scope::Infer.into() };
        // The handlers of GET also respond to HEAD.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let declared =
            self.routes.get(matched).and_then(|methods| methods.iter().find(|(known, _)| known == method));
        declared.map_or(Scope::Admin.into(), |(_, access)| *access)
    }

    /// Returns every declared route as `METHOD PATH` or `gRPC SERVICE/METHOD`, with its access, in order.
    #[must_use]
    pub fn declared(&self) -> Vec<(String, Access)> {
        let routes = self.routes.iter().flat_map(|(path, methods)| {
            methods.iter().map(move |(method, access)| (format!("{method} {path}"), *access))
        });
        let services = self.services.iter().flat_map(|(name, access)| {
            let listed =
                access.methods.iter().map(move |(call, access)| (format!("gRPC {name}/{call}"), *access));
            listed.chain([(format!("gRPC {name}/*"), access.default)])
        });
        let mut declared: Vec<_> = routes.chain(services).collect();
        declared.sort_by(|a, b| a.0.cmp(&b.0));
        declared
    }
}

impl<S: Clone + Send + Sync + 'static> ApiRouter<S> {
    /// Creates a router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self { router: Router::new(), access: AccessTable::default() }
    }

    /// Adds a route for GET and HEAD.
    #[must_use]
    pub fn get<T: 'static>(self, path: &str, access: impl Into<Access>, handler: impl Handler<T, S>) -> Self {
        self.route(Method::GET, path, access.into(), get(handler))
    }

    /// Adds a route for POST.
    #[must_use]
    pub fn post<T: 'static>(
        self,
        path: &str,
        access: impl Into<Access>,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.route(Method::POST, path, access.into(), post(handler))
    }

    /// Adds a route for DELETE.
    #[must_use]
    pub fn delete<T: 'static>(
        self,
        path: &str,
        access: impl Into<Access>,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.route(Method::DELETE, path, access.into(), delete(handler))
    }

    /// Adds a gRPC service.
    #[must_use]
    pub fn service<G>(mut self, service: G, access: ServiceAccess) -> Self
    where
        G: Service<Request<tonic::body::Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        G::Response: IntoResponse,
        G::Future: Future + Send + 'static,
    {
        self.access.services.insert(G::NAME, access);
        let service = service.map_request(|request: Request<Body>| request.map(tonic::body::Body::new));
        self.router = self.router.route_service(&format!("/{}/{{*method}}", G::NAME), service);
        self
    }

    /// Adds the routes of another router.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.access.routes.extend(other.access.routes);
        self.access.services.extend(other.access.services);
        self
    }

    /// Changes the inner router: adds its state, layers and fallbacks.
    #[must_use]
    pub fn map_router<S2>(self, change: impl FnOnce(Router<S>) -> Router<S2>) -> ApiRouter<S2> {
        ApiRouter { router: change(self.router), access: self.access }
    }

    /// Returns the router, and the access of its routes.
    pub fn into_parts(self) -> (Router<S>, AccessTable) {
        (self.router, self.access)
    }

    fn route(mut self, method: Method, path: &str, access: Access, handler: MethodRouter<S>) -> Self {
        self.access.routes.entry(path.to_owned()).or_default().push((method, access));
        self.router = self.router.route(path, handler);
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Default for ApiRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing() {}

    fn required(access: &AccessTable, method: &Method, path: &str, matched: Option<&str>) -> Access {
        access.required(method, path, matched)
    }

    #[test]
    fn a_route_needs_what_it_declares_and_an_undeclared_one_needs_admin() {
        let router: ApiRouter = ApiRouter::new()
            .get("/healthz", Access::Open, nothing)
            .get("/v1/frames/{id}", Scope::Archive, nothing)
            .delete("/v1/frames/{id}", Scope::Admin, nothing)
            .map_router(|router| router.route("/undeclared", get(nothing)));
        let (_, table) = router.into_parts();
        let frame = Some("/v1/frames/{id}");
        assert_eq!(required(&table, &Method::GET, "/healthz", Some("/healthz")), Access::Open);
        assert_eq!(required(&table, &Method::HEAD, "/v1/frames/7", frame), Scope::Archive.into());
        assert_eq!(required(&table, &Method::DELETE, "/v1/frames/7", frame), Scope::Admin.into());
        assert_eq!(required(&table, &Method::PUT, "/v1/frames/7", frame), Scope::Admin.into());
        assert_eq!(required(&table, &Method::GET, "/undeclared", Some("/undeclared")), Scope::Admin.into());
        assert_eq!(required(&table, &Method::GET, "//healthz", None), Scope::Infer.into());
    }
}
