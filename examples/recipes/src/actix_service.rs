//! actix-web.

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::{ResponseError, get, web};
use cache_runtime::cache_result;

use crate::market::{Area, Database, Unknown};

#[cache_result(ttl = "1h", prefix = "actix-areas", skip(db))]
async fn areas(db: Rc<Database>, kind: String) -> Result<Vec<Area>, Unknown> {
    db.areas(&kind).await // its future holds an `Rc`, and so does the cached one's
}

#[get("/areas/{kind}")]
async fn list(
    db: web::Data<Database>,
    kind: web::Path<String>,
) -> Result<web::Json<Vec<Area>>, Unknown> {
    let db = Rc::new(db.get_ref().clone());
    Ok(web::Json(areas(db, kind.into_inner()).await?))
}

impl ResponseError for Unknown {
    fn status_code(&self) -> StatusCode {
        StatusCode::NOT_FOUND
    }
}

/// The routes, for `App::configure`.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(list);
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};
    use cache_runtime::Cache;

    use super::*;

    #[actix_web::test]
    async fn the_second_request_asks_no_database() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        let app = App::new().app_data(web::Data::new(db.clone())).configure(routes);
        let app = test::init_service(app).await;
        let ask = async |path: &str| {
            let request = test::TestRequest::get().uri(path).to_request();
            test::call_service(&app, request).await.status()
        };
        cache
            .scope(async {
                assert_eq!(ask("/areas/buy").await, StatusCode::OK);
                cache.flush().await;
                assert_eq!(ask("/areas/buy").await, StatusCode::OK);
                assert_eq!(db.queries(), 1);
                assert_eq!(ask("/areas/swap").await, StatusCode::NOT_FOUND);
            })
            .await;
    }
}
