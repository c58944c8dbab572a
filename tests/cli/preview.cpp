// hearth data preview: one sheet of the views that a recipe makes.
#include <opencv2/imgcodecs.hpp>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("data preview writes a sheet of images and views") {
    const Sandbox box;
    const auto outcome =
        box.run({"data", "preview", "tiny.toml", "-n", "6", "--cell", "48", "--out", "sheets/a.png"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("sheets/a.png: 6 images, 4 pictures each"));
    const auto sheet = cv::imread((box.folder / "sheets/a.png").string(), cv::IMREAD_GRAYSCALE);
    REQUIRE_FALSE(sheet.empty());
    CHECK(sheet.rows > 6 * 48);
    CHECK(cv::countNonZero(sheet < 128) > 6 * 48);  // films are mostly dark

    CHECK(box.run({"data", "preview", "tiny.toml", "-n", "6", "--cell", "48", "--out", "sheets/b.png"}).code ==
          0);
    CHECK(box.run({"data", "preview", "tiny.toml", "-n", "6", "--cell", "48", "--epoch", "1", "--out",
                   "sheets/c.png"})
              .code == 0);
    CHECK(box.folder.read("sheets/a.png") == box.folder.read("sheets/b.png"));
    CHECK(box.folder.read("sheets/a.png") != box.folder.read("sheets/c.png"));
    CHECK_THAT(box.run({"data", "preview", "tiny.toml", "-n", "2", "--json"}).out, Contains("\"abnormal\""));
}

TEST_CASE("data preview says what is wrong") {
    const Sandbox box;
    const auto name = box.run({"data", "preview", "tiny.toml", "--out", "sheet.gif"});
    CHECK(name.code == 2);
    CHECK_THAT(name.err, Contains("sheet.gif") && Contains(".png"));
    CHECK(box.run({"data", "preview", "tiny.toml", "-n", "0"}).code == 2);
    const auto data = box.run({"data", "preview", "tiny.toml", "data.source=nowhere.csv"});
    CHECK(data.code == 3);
    CHECK_THAT(data.err, Contains("nowhere.csv"));
}
