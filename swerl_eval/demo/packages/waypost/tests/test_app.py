from waypost import Application, Request, Response


def make_app():
    app = Application()

    @app.route("/users/{id:int}", name="user")
    def show_user(request, id):
        return Response(f"user {id}", headers={"X-Tab": request.arg("tab", "none")})

    @app.route("/echo", methods=["POST"])
    def echo(request):
        return ",".join(request.args("word"))

    return app


def test_handler_gets_parameters():
    response = make_app().handle(Request("GET", "/users/7?tab=posts#top"))
    assert (response.status, response.body) == (200, "user 7")
    assert response.headers == {"X-Tab": "posts"}


def test_text_answer_becomes_a_response():
    response = make_app().handle(Request("post", "/echo?word=a&word=b%20c"))
    assert (response.status, response.body) == (200, "a,b c")


def test_unknown_path_is_404():
    assert make_app().handle(Request("GET", "/nothing")).status == 404


def test_wrong_method_is_405():
    response = make_app().handle(Request("GET", "/echo"))
    assert response.status == 405
    assert response.headers["Allow"] == "POST"


def test_head_has_no_body():
    response = make_app().handle(Request("HEAD", "/users/7"))
    assert (response.status, response.body) == (200, "")


def test_mounted_application():
    outer = Application()
    outer.mount("/api", make_app())
    assert outer.handle(Request("GET", "/api/users/3")).body == "user 3"
    assert outer.url_for("user", id=3) == "/api/users/3"
