#include "images/check/manifest_check.hpp"

#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>

#include "images/boxes.hpp"
#include "images/mask.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::message_of;
using test::TemporaryFolder;

namespace {

/// A grey PNG of 16 x 12 pixels, one of them white; another `shade` makes another file.
void image(const TemporaryFolder& folder, const std::string& name, int shade) {
    cv::Mat film(12, 16, CV_8U, cv::Scalar(shade));
    film.at<std::uint8_t>(0, 0) = 255;
    std::vector<std::uint8_t> bytes;
    cv::imencode(".png", film, bytes);
    folder.write(name, {bytes.begin(), bytes.end()});
}

ManifestCheck checked(const TemporaryFolder& folder, const std::string& text,
                      const CheckOptions& options = {}) {
    return check_manifest(read_manifest(folder.write("manifest.csv", text)), options);
}

/// The finding of this kind; the test fails without one.
Finding finding_of(const ManifestCheck& check, const std::string& kind) {
    for (const Finding& finding : check.findings) {
        if (finding.kind == kind) return finding;
    }
    FAIL("there is no finding " + kind);
    throw 0;
}

bool has(const ManifestCheck& check, const std::string& kind) {
    return std::any_of(check.findings.begin(), check.findings.end(),
                       [&](const Finding& finding) { return finding.kind == kind; });
}

/// Only what columns and splits say; the files are not there.
ManifestCheck columns_of(const std::string& text) {
    const TemporaryFolder folder;
    const Manifest manifest = read_manifest(folder.write("manifest.csv", text));
    ManifestCheck check;
    check_columns(manifest, check);
    check_splits(manifest, check);
    return check;
}

std::string rows(const std::string& header, const std::string& cells, int count, const std::string& rest) {
    std::string text = "path," + header + "\n";
    for (int i = 0; i < count; ++i) text += std::to_string(i) + ".png," + cells + "\n";
    return text + rest;
}

}  // namespace

TEST_CASE("a manifest with nothing wrong has no findings") {
    const TemporaryFolder folder;
    image(folder, "a.png", 1);
    image(folder, "b.png", 2);
    const auto check = checked(folder, "path,patient,label,split\na.png,1,normal,train\nb.png,2,nodule,test\n");
    CHECK(check.images == 2);
    CHECK(check.bad.empty());
    CHECK(check.findings.empty());
    CHECK_FALSE(check.wrong(true));
}

TEST_CASE("unreadable files are listed with line and fault; without decoding corrupt data pass") {
    const TemporaryFolder folder;
    image(folder, "a.png", 1);
    const std::string bytes = folder.read("a.png");
    folder.write("half.png", bytes.substr(0, bytes.size() / 2));
    folder.write("corrupt.jpg",
                 std::string("\xFF\xD8\xFF\xC0\x00\x0B\x08\x00\x10\x00\x10\x01\x01\x11\x00\xFF\xD9", 17));
    const std::string text = "path\na.png\nhalf.png\nabsent.png\ncorrupt.jpg\n";
    const auto check = checked(folder, text);
    REQUIRE(check.bad.size() == 3);
    CHECK(check.bad[0].line == 3);
    CHECK(check.bad[0].fault == ImageFault::truncated);
    CHECK(check.bad[1].fault == ImageFault::missing);
    CHECK(check.bad[2].fault == ImageFault::undecodable);
    CHECK(check.wrong(false));
    CHECK(checked(folder, text, {.decode = false}).bad.size() == 2);
}

TEST_CASE("paths named twice and identical files are warnings, more so in different splits") {
    const TemporaryFolder folder;
    image(folder, "a.png", 1);
    image(folder, "copy.png", 1);
    image(folder, "third.png", 1);
    image(folder, "b.png", 2);
    const auto check = checked(
        folder, "path,split\na.png,train\n./a.png,train\ncopy.png,test\nthird.png,train\nb.png,train\n");
    const Finding twice = finding_of(check, "duplicate-path");
    CHECK(twice.count == 1);
    CHECK_THAT(twice.examples.at(0), Contains("a.png (lines 2 and 3)"));
    CHECK(finding_of(check, "identical-files").count == 2);
    CHECK(finding_of(check, "identical-across-splits").count == 1);
    CHECK_FALSE(check.wrong(false));
    CHECK(check.wrong(true));
}

TEST_CASE("masks and boxes must be readable and fit their image") {
    const TemporaryFolder folder;
    image(folder, "a.png", 1);
    image(folder, "m.png", 3);
    std::vector<std::uint8_t> bytes;
    cv::imencode(".png", cv::Mat(12, 12, CV_8U, cv::Scalar(1)), bytes);
    folder.write("small.png", {bytes.begin(), bytes.end()});
    const auto check = checked(folder,
                               "path,mask,boxes\n"
                               "a.png,m.png,0 0 16 12\n"
                               "a.png,,none\n"
                               "a.png,none,\n"
                               "a.png,small.png,\n"
                               "a.png,absent.png,\n"
                               "a.png,rle:relative:16x12:190 5,\n"
                               "a.png,rle:relative:4x4:1 2,\n"
                               "a.png,,1 1 16 2\n"
                               "a.png,,1 1 16\n");
    const Finding finding = finding_of(check, "bad-annotation");
    CHECK(finding.weight == Weight::error);
    CHECK(finding.count == 6);
    CHECK_THAT(finding.examples.at(0), Contains("line 5: a mask of 12 x 12 for an image of 16 x 12"));
    CHECK_THAT(finding.examples.at(1), Contains("absent.png: not found"));
    CHECK_THAT(finding.examples.at(2), Contains("a run of 5 pixels"));
    CHECK_THAT(finding.examples.at(4), Contains("leaves the image of 16 x 12"));
    CHECK(check.wrong(false));
}

TEST_CASE("blank and squeezed images are warnings, named with their values") {
    const TemporaryFolder folder;
    const auto write = [&](const std::string& name, const cv::Mat& film) {
        std::vector<std::uint8_t> bytes;
        cv::imencode(".png", film, bytes);
        folder.write(name, {bytes.begin(), bytes.end()});
    };
    image(folder, "good.png", 1);
    write("black.png", cv::Mat(12, 16, CV_8U, cv::Scalar(0)));
    cv::Mat squeezed(12, 16, CV_16U, cv::Scalar(0));  // 12-bit values in a 16-bit file
    squeezed.at<std::uint16_t>(3, 3) = 4095;
    write("squeezed.png", squeezed);
    const std::string text = "path\ngood.png\nblack.png\nsqueezed.png\n";
    const Finding finding = finding_of(checked(folder, text), "flat-image");
    CHECK(finding.weight == Weight::warning);
    CHECK(finding.count == 2);
    CHECK_THAT(finding.examples.at(0), Contains("black.png: all pixels are 0.000"));
    CHECK_THAT(finding.examples.at(1), Contains("squeezed.png: all pixels lie between 0.000 and 0.062"));
    CHECK_FALSE(has(checked(folder, text, {.decode = false}), "flat-image"));
}

TEST_CASE("a folder's files that are no images are a note with their kinds") {
    const TemporaryFolder folder;
    image(folder, "a.png", 1);
    for (const auto* name : {"b.npy", "c.npy", "notes.txt", ".hidden"}) folder.write(name, "x");
    const Finding finding = finding_of(check_manifest(images::open(folder.path())), "skipped-files");
    CHECK(finding.weight == Weight::note);
    CHECK_THAT(finding.text,
               Contains("3 of 4 files are no images by their names") && Contains(".npy: 2, .txt: 1"));
}

TEST_CASE("a mask may be smaller than its image, but not of another shape") {
    CHECK_NOTHROW(check_mask_shape({16, 12}, {16, 12}));
    CHECK_NOTHROW(check_mask_shape({512, 417}, {1024, 834}));
    CHECK_NOTHROW(check_mask_shape({341, 278}, {1024, 834}));  // 341.3 x 278
    CHECK_THAT(message_of<DataError>([] {
                   check_mask_shape({1024, 1024}, {1024, 834});
               }),
               Contains("a mask of 1024 x 1024 for an image of 1024 x 834; expected the shape of the image"));
    CHECK_THROWS_AS(check_mask_shape({834, 1024}, {1024, 834}), DataError);
}

TEST_CASE("values unlike the others of a column of 0 and 1, or of numbers, are errors") {
    const auto binary = columns_of(rows("edema", "1", 40, "x.png,yes\n"));
    CHECK_THAT(finding_of(binary, "odd-value").text, Contains("'edema' holds 0 and 1"));
    CHECK_THAT(finding_of(binary, "odd-value").examples.at(0), Contains("'yes' (1)"));
    CHECK(finding_of(columns_of(rows("age", "54", 40, "x.png,54Y\n")), "odd-value").count == 1);
    CHECK_FALSE(has(columns_of(rows("age", "54", 40, "x.png,\nx2.png,7.5\n")), "odd-value"));
    // A fifth of other values is no slip: the column simply holds both.
    CHECK_FALSE(has(columns_of(rows("code", "1", 8, "x.png,a\ny.png,b\n")), "odd-value"));
}

TEST_CASE("1 and 1.0 are one value, words for missing none, as labels are read") {
    const auto check = columns_of(rows("edema", "1", 20, "x.png,1.0\ny.png,NaN\nz.png,0.0\n"));
    CHECK_FALSE(has(check, "odd-value"));
    CHECK(finding_of(check, "unknown-values").examples == std::vector<std::string>{"edema: 1 of 23"});
}

TEST_CASE("ages that nobody has are warnings") {
    const auto check = columns_of("path,age\na.png,54\nb.png,414\nc.png,414\nd.png,-1\ne.png,120\n");
    CHECK(finding_of(check, "odd-age").weight == Weight::warning);
    CHECK(finding_of(check, "odd-age").count == 3);
    CHECK(finding_of(check, "odd-age").examples == std::vector<std::string>{"'414' (2)", "'-1' (1)"});
    CHECK_FALSE(has(columns_of("path,age\na.png,54\nb.png,003M\n"), "odd-age"));
}

TEST_CASE("patients 7 and 7.0 are one") {
    CHECK(finding_of(columns_of("path,patient,split\na.png,7,train\nb.png,7.0,test\n"), "leakage").count == 1);
    CHECK(finding_of(columns_of("path,patient,split\na.png,007,train\nb.png,007,test\n"), "leakage").examples ==
          std::vector<std::string>{"007: test (1) train (1)"});
}

TEST_CASE("labels spelt in two ways are errors, rare ones close to frequent ones warnings") {
    const auto spelt =
        columns_of(rows("label", "Pleural Effusion", 3, "x.png,pleural_effusion\ny.png,normal\n"));
    CHECK(finding_of(spelt, "odd-label").weight == Weight::error);
    CHECK_THAT(finding_of(spelt, "odd-label").examples.at(0),
               Contains("'pleural_effusion' (1) and 'Pleural Effusion' (3)"));
    const auto slip = columns_of(rows("label", "pneumonia", 40, "x.png,pnuemonia\ny.png,normal\n"));
    CHECK(finding_of(slip, "similar-labels").weight == Weight::warning);
    CHECK_THAT(finding_of(slip, "similar-labels").examples.at(0),
               Contains("'pnuemonia' (1) and 'pneumonia' (40)"));
    CHECK_FALSE(has(columns_of(rows("view", "AP", 40, "x.png,PA\n")), "similar-labels"));
    CHECK_FALSE(has(columns_of(rows("label", "grade 1", 40, "x.png,grade 2\n")), "similar-labels"));
}

TEST_CASE("unknown values are counted by column and are no fault") {
    const auto check = columns_of("path,label,age\na.png,,\nb.png,normal,\n");
    const Finding finding = finding_of(check, "unknown-values");
    CHECK(finding.weight == Weight::note);
    CHECK(finding.examples == std::vector<std::string>{"label: 1 of 2", "age: 2 of 2"});
    CHECK_FALSE(check.wrong(true));
}

TEST_CASE("patients in more than one split, empty splits and rows without one") {
    const auto check = columns_of(
        "path,patient,split\na.png,P1,train\nb.png,P1,val\nc.png,P1,train\nd.png,P2,train\ne.png,P3,\nf.png,,"
        "val\n");
    const Finding leak = finding_of(check, "leakage");
    CHECK(leak.weight == Weight::warning);
    CHECK(leak.count == 1);
    CHECK(leak.examples == std::vector<std::string>{"P1: train (2) val (1)"});
    CHECK_THAT(finding_of(check, "empty-split").text, Contains("'test'"));
    CHECK(finding_of(check, "no-split").count == 1);
    CHECK(finding_of(check, "no-patient").count == 1);
    CHECK_FALSE(has(columns_of("path,patient\na.png,P1\n"), "empty-split"));
}

TEST_CASE("a table without the columns patient and split is noted, with those that may be meant") {
    const auto bare = columns_of("path,label\na.png,x\n");
    CHECK_THAT(finding_of(bare, "no-patient").text,
               Contains("There is no column 'patient'") && !Contains("if '"));
    CHECK(finding_of(bare, "no-split").text == "There is no column 'split'.");
    CHECK_FALSE(has(bare, "empty-split"));
    CHECK_FALSE(bare.wrong(true));
    const auto spelt = columns_of("path,Patient ID,Split\na.png,P1,train\nb.png,P1,test\n");
    CHECK_THAT(finding_of(spelt, "no-patient").text, Contains("write patient = \"Patient ID\""));
    CHECK_THAT(finding_of(spelt, "no-split").text, Contains("if 'Split' divides the images"));
    CHECK(finding_of(spelt, "leakage").examples == std::vector<std::string>{"P1: test (1) train (1)"});
}

TEST_CASE("boxes are read in pixels") {
    CHECK_FALSE(read_boxes("").has_value());
    CHECK(read_boxes("none")->empty());
    const auto boxes = read_boxes("264 152 213 379; 562 152 256.5 453").value();
    REQUIRE(boxes.size() == 2);
    CHECK(boxes[0] == cv::Rect2d(264, 152, 213, 379));
    CHECK(boxes[1].width == 256.5);
    for (const auto* wrong : {"1 2 3", "1 2 3 4 5", "1 2 0 4", "-1 2 3 4", "a b c d"})
        CHECK_THAT(message_of<DataError>([&] { read_boxes(wrong); }), Contains("boxes: found"));
}
