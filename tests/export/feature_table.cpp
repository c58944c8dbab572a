// Tables of features: rows, columns, unreadable images, and the formats without a reader of their own here.
#include "export/feature_table.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>
#include <sstream>

#include "base/safetensors.hpp"
#include "hearth/error.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth::exporting;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Five images, the grey of each 10, 20 .. 50; the third is no image. And a manifest.
struct Films {
    TemporaryFolder folder;
    std::shared_ptr<const hearth::data::Dataset> images;

    explicit Films(const std::string& where = "") {
        std::string manifest = "path,patient,label,age\n";
        for (int i = 0; i < 5; ++i) {
            const auto name = "film" + std::to_string(i) + ".png";
            if (i == 2)
                folder.write(name, "no image");
            else
                cv::imwrite((folder / name).string(), cv::Mat(16, 16, CV_8U, cv::Scalar(10 * (i + 1))));
            manifest += name + ",P" + std::to_string(i) + ",\"a, b\"," + std::to_string(20 + i) + "\n";
        }
        images = hearth::data::open_dataset({.source = folder.write("films.csv", manifest).string(),
                                             .where = where,
                                             .size = 16,
                                             .fit = "stretch",
                                             .max_pixels = 0,
                                             .phantom_count = 0,
                                             .phantom_seed = 0,
                                             .phantom_lesions = 0});
    }
    FeatureTable table(double max_bad) const {
        hearth::recipe::DataSpec data;
        data.workers = 1;
        data.max_bad = max_bad;
        return make_feature_table(
            images, data,
            [](const at::Tensor& batch) {
                const auto mean = batch.mean({1, 2, 3}) * 255;
                return at::stack({mean, mean * mean}, 1);
            },
            nullptr);
    }
};

}  // namespace

TEST_CASE("each readable image has one row, in the order of the manifest; the others are named") {
    const Films films;
    const auto table = films.table(0.5);
    CHECK(table.rows == std::vector<std::int64_t>{0, 1, 3, 4});
    CHECK(at::allclose(table.features.select(1, 0), at::tensor({10.0F, 20.0F, 40.0F, 50.0F}), 1e-4, 1e-3));
    REQUIRE(table.bad.size() == 1);
    CHECK_THAT(table.bad.front().name, Contains("film2.png"));
    CHECK_THROWS_AS(films.table(0.1), hearth::DataError);  // data.max_bad, as in training
}

TEST_CASE("columns that the data set lacks are left out") {
    const Films films;
    const auto columns = text_columns(*films.images, {0, 4}, {"patient", "sex"});
    REQUIRE(columns.size() == 2);
    CHECK(columns[0].name == "path");
    CHECK(columns[0].cells == std::vector<std::string>{"film0.png", "film4.png"});
    CHECK(columns[1].cells == std::vector<std::string>{"P0", "P4"});
}

TEST_CASE("CSV has a header, quoted cells and numbers that give the floats back") {
    const Films films;
    FeatureTable table;
    table.features = at::tensor({0.1F, 1.0F / 3, -2e-7F, 5.0F}).view({2, 2});
    table.rows = {0, 1};
    write_feature_table(films.folder / "out.csv", table, text_columns(*films.images, table.rows, {"label"}),
                        {});
    std::istringstream lines(films.folder.read("out.csv"));
    std::string header, first, second;
    std::getline(lines, header);
    std::getline(lines, first);
    std::getline(lines, second);
    CHECK(header == "path,label,f0,f1");
    CHECK_THAT(first, Catch::Matchers::StartsWith("film0.png,\"a, b\","));
    CHECK(std::stof(first.substr(first.rfind(',') + 1)) == 1.0F / 3);
    CHECK_THAT(second, Contains(",-2.00000002e-07,5"));
}

TEST_CASE("safetensors carry the columns as JSON in their metadata") {
    const Films films;
    const auto table = films.table(0.5);
    write_feature_table(films.folder / "out.safetensors", table,
                        text_columns(*films.images, table.rows, {"age"}), {{"hearth.recipe", "mine"}});
    const auto file = hearth::base::read_safetensors(films.folder / "out.safetensors");
    CHECK(at::equal(file.find("features"), table.features));
    CHECK(file.metadata.at("age") == R"(["20","21","23","24"])");
    CHECK(file.metadata.at("hearth.recipe") == "mine");
}

TEST_CASE("another ending is refused before any work") {
    CHECK_THAT(message_of<hearth::RecipeError>([] { check_feature_file("out.h5"); }),
               Contains("found 'out.h5', expected a file that ends in .npz, .csv or .safetensors"));
}
