"""A classifier behind HTTP: `app.create_app` puts the routes together; the extra `serve`."""
