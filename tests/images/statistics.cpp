#include "images/statistics.hpp"

#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>

#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::images;
using test::TemporaryFolder;

namespace {

void write(const TemporaryFolder& folder, const std::string& name, const cv::Mat& image) {
    std::vector<std::uint8_t> bytes;
    cv::imencode(std::filesystem::path(name).extension().string(), image, bytes);
    folder.write(name, {bytes.begin(), bytes.end()});
}

}  // namespace

TEST_CASE("images, patients and labels are counted by split") {
    const TemporaryFolder folder;
    const auto file =
        folder.write("m.csv",
                     "path,patient,label,split\n"
                     "a.png,P1,normal,train\nb.png,P1,nodule,train\nc.png,P2,,test\nd.png,,normal,test\n");
    const Statistics s = statistics_of(read_manifest(file));
    CHECK(s.images == 4);
    CHECK(s.patients == 2);
    CHECK(s.splits.at("train").images == 2);
    CHECK(s.splits.at("train").patients == 1);
    CHECK(s.splits.at("test").patients == 1);
    REQUIRE(s.values.size() == 1);
    CHECK(s.values[0].column == "label");
    CHECK(s.values[0].by_value.at("normal").at("train") == 1);
    CHECK(s.values[0].by_value.at("normal").at("test") == 1);
    CHECK(s.values[0].by_value.at("").at("test") == 1);
    CHECK(s.files.sampled == 4);
    CHECK(s.files.unreadable == 4);
    CHECK(s.repeated == 0);
    const Statistics twice = statistics_of(
        read_manifest(folder.write("twice.csv", "path,label\na.png,x\nb.png,x\n./b.png,y\nb.png,x\n")));
    CHECK(twice.repeated == 2);
    CHECK(twice.first_repeated == (folder / "b.png").string());
}

TEST_CASE("columns of many numbers are ranges, of many words nothing") {
    const TemporaryFolder folder;
    std::string text = "path,age,report\nx.png,,text x\n";
    for (int i = 0; i < 41; ++i)
        text += std::to_string(i) + ".png," + std::to_string(20 + i) + ",text " + std::to_string(i) + "\n";
    const Statistics s = statistics_of(read_manifest(folder.write("m.csv", text)));
    CHECK(s.values.empty());
    REQUIRE(s.numbers.size() == 1);
    CHECK(s.numbers[0].column == "age");
    CHECK(s.numbers[0].least == 20);
    CHECK(s.numbers[0].most == 60);
    CHECK(s.numbers[0].mean == Approx(40));
    CHECK(s.numbers[0].unknown == 1);
}

TEST_CASE("sizes, bits and intensities come from the files; a sample is spread over the manifest") {
    const TemporaryFolder folder;
    cv::Mat halves(10, 20, CV_8U, cv::Scalar(0));
    halves.colRange(0, 10).setTo(255);
    write(folder, "0.png", halves);                                    // mean 0.5, deviation 0.5
    write(folder, "1.png", cv::Mat(8, 8, CV_16U, cv::Scalar(65535)));  // mean 1
    write(folder, "2.jpg", cv::Mat(10, 20, CV_8U, cv::Scalar(51)));    // mean 0.2
    folder.write("3.png", "no image");
    const auto file = folder.write("m.csv", "path\n0.png\n1.png\n2.jpg\n3.png\n");
    std::size_t steps = 0;
    const Statistics s =
        statistics_of(read_manifest(file), {.sample = 0, .progress = [&](auto, auto) { ++steps; }});
    CHECK(steps == 4);
    CHECK(s.files.unreadable == 1);
    CHECK(s.files.flat == 2);
    CHECK(s.files.formats == std::map<std::string, std::size_t>{{"png", 2}, {"jpeg", 1}});
    CHECK(s.files.sizes == std::map<std::string, std::size_t>{{"20 x 10", 2}, {"8 x 8", 1}});
    CHECK(s.files.bits == std::map<int, std::size_t>{{8, 2}, {16, 1}});
    CHECK(s.files.least == 0);
    CHECK(s.files.most == 1);
    const double mean = (0.5 + 1 + 0.2) / 3;
    CHECK(s.files.mean == Approx(mean).epsilon(1e-5));
    CHECK(s.files.deviation == Approx(std::sqrt((0.25 + 0.25 + 1 + 0.04) / 3 - mean * mean)).epsilon(1e-5));
    CHECK(s.files.least_mean == Approx(0.2).epsilon(1e-5));
    CHECK(s.files.most_mean == 1);

    const Statistics half = statistics_of(read_manifest(file), {.sample = 2});  // rows 0 and 2
    CHECK(half.files.sampled == 2);
    CHECK(half.files.formats.at("jpeg") == 1);
}
