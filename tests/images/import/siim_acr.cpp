#include "images/dicom_files.hpp"
#include "images/import/sets.hpp"
#include "images/mask.hpp"

namespace images_siim_acr {

using namespace hearth;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const cv::Mat pixels(8, 10, CV_8U, cv::Scalar(50));  // 10 wide, 8 high

void film(const TemporaryFolder& folder, const std::string& path, const std::string& patient) {
    write_dicom(folder / path, {.pixels = pixels, .patient = patient, .view = "PA", .sex = "F", .age = "28"});
}

void make(const TemporaryFolder& folder) {
    film(folder, "dicom-images-train/1.2.3/1.2.4/1.2.276.1.dcm", "a");
    film(folder, "dicom-images-train/1.2.5/1.2.6/1.2.276.2.dcm", "b");
    film(folder, "dicom-images-train/1.2.7/1.2.8/1.2.276.3.dcm", "");
    film(folder, "dicom-images-train/1.2.9/1.2.9/1.2.276.4.dcm", "d");
    film(folder, "dicom-images-test/1.3.3/1.3.4/1.2.276.9.dcm", "t");
    folder.write("train-rle.csv",
                 "ImageId, EncodedPixels\n"
                 "1.2.276.1, -1\n"
                 "1.2.276.2, 2 3 10 2\n"
                 "1.2.276.2, 40 1\n"
                 "1.2.276.3,-1\n");
}

}  // namespace

TEST_CASE("SIIM-ACR: relative run-length texts, several a film, -1 for none; films in no row have no label") {
    const TemporaryFolder folder;
    make(folder);
    CHECK(manifest_of("siim-acr", folder.path()) ==
          "path,patient,view,projection,sex,age,pneumothorax,mask\n"
          "dicom-images-test/1.3.3/1.3.4/1.2.276.9.dcm,t,frontal,PA,F,28,,\n"
          "dicom-images-train/1.2.3/1.2.4/1.2.276.1.dcm,a,frontal,PA,F,28,0,none\n"
          "dicom-images-train/1.2.5/1.2.6/1.2.276.2.dcm,b,frontal,PA,F,28,1,rle:relative:10x8:2 3 10 2 23 1\n"
          "dicom-images-train/1.2.7/1.2.8/1.2.276.3.dcm,1.2.276.3,frontal,PA,F,28,0,none\n"
          "dicom-images-train/1.2.9/1.2.9/1.2.276.4.dcm,d,frontal,PA,F,28,,\n");
    const auto set = read_set("siim-acr", folder.path());
    CHECK_THAT(notes_of(set), Contains("2 images are not in the table"));
    const cv::Mat mask = read_mask(set.films[2].mask, folder.path(), {10, 8}).value();
    CHECK(cv::countNonZero(mask) == 6);  // pixels 2 to 4, 15 and 16, 40, down columns of 8
    CHECK(mask.at<std::uint8_t>(2, 0) == 255);
    CHECK(mask.at<std::uint8_t>(7, 1) == 255);
    CHECK(mask.at<std::uint8_t>(0, 2) == 255);
    CHECK(mask.at<std::uint8_t>(0, 5) == 255);
}

TEST_CASE("SIIM-ACR: the second stage's table and folder") {
    const TemporaryFolder folder;
    film(folder, "stage_2_images/1.2.276.1.dcm", "a");
    folder.write("stage_2_train.csv", "ImageId,EncodedPixels\n1.2.276.1,0 8\n");
    const auto set = read_set("siim-acr", folder.path());
    REQUIRE(set.films.size() == 1);
    CHECK(set.films[0].mask == "rle:relative:10x8:0 8");
}

TEST_CASE("SIIM-ACR: runs that leave the film, empty cells, missing and damaged films are errors") {
    const TemporaryFolder folder;
    make(folder);
    const auto with_row = [&](const std::string& row) {
        folder.write("train-rle.csv", "ImageId, EncodedPixels\n1.2.276.1, -1\n" + row);
        return complaint_of("siim-acr", folder.path());
    };
    CHECK_THAT(with_row("1.2.276.2, 70 11\n"), Contains("train-rle.csv:3: ") &&
                                                   Contains("a run of 11 pixels from pixel 70") &&
                                                   Contains("10 x 8"));
    CHECK_THAT(with_row("1.2.276.2, \n"), Contains("train-rle.csv:3") && Contains("expected runs or -1"));
    CHECK_THAT(with_row("1.2.276.77, -1\n"), Contains("1.2.276.77.dcm") && Contains("--partial"));
    folder.write("train-rle.csv", "ImageId,Pixels\na,b\n");
    CHECK_THAT(complaint_of("siim-acr", folder.path()), Contains("no column 'EncodedPixels'"));
    make(folder);
    folder.write("dicom-images-train/1.2.3/1.2.4/1.2.276.1.dcm", "no DICOM");
    CHECK_THAT(complaint_of("siim-acr", folder.path()), Contains("1.2.276.1.dcm: expected a DICOM file"));
    const auto set = read_set("siim-acr", folder.path(), {.folder = {}, .partial = true});
    CHECK(set.films.size() == 4);
    CHECK_THAT(notes_of(set), Contains("1 of 5 images") && Contains("missing or damaged"));
}

}  // namespace images_siim_acr
