#include "images/dicom_files.hpp"
#include "images/import/sets.hpp"

namespace images_rsna {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

void make(const TemporaryFolder& folder) {
    const cv::Mat pixels(8, 8, CV_8U, cv::Scalar(50));
    write_dicom(folder / "stage_2_train_images/0004cfab.dcm", {.pixels = pixels,
                                                               .patient = "0004cfab",
                                                               .view = "PA",
                                                               .sex = "F",
                                                               .age = "51",
                                                               .syntax = Syntax::jpeg_baseline});
    write_dicom(folder / "stage_2_train_images/00436515.dcm",
                {.pixels = pixels, .patient = "00436515", .view = "AP", .sex = "M", .age = "32"});
    write_dicom(folder / "stage_2_train_images/000db696.dcm",
                {.pixels = pixels, .patient = "000db696", .view = "AP", .sex = "M", .age = "7"});
    write_dicom(folder / "stage_2_test_images/0000a175.dcm",
                {.pixels = pixels, .patient = "0000a175", .view = "PA"});
    folder.write("stage_2_train_labels.csv",
                 "patientId,x,y,width,height,Target\n"
                 "0004cfab,,,,,0\n"
                 "00436515,264.0,152.0,213.0,379.0,1\n"
                 "00436515,562.0,152.0,256.0,453.5,1\n"
                 "000db696,,,,,0\n");
    folder.write("stage_2_detailed_class_info.csv",
                 "patientId,class\n"
                 "0004cfab,No Lung Opacity / Not Normal\n"
                 "00436515,Lung Opacity\n"
                 "00436515,Lung Opacity\n"
                 "000db696,Normal\n");
}

}  // namespace

TEST_CASE(
    "RSNA: boxes of several rows come together, classes and headers are joined, test films have no label") {
    const TemporaryFolder folder;
    make(folder);
    CHECK(manifest_of("rsna", folder.path()) ==
          "path,patient,view,projection,sex,age,class,pneumonia,boxes\n"
          "stage_2_test_images/0000a175.dcm,0000a175,frontal,PA,,,,,\n"
          "stage_2_train_images/0004cfab.dcm,0004cfab,frontal,PA,F,51,No Lung Opacity / Not Normal,0,none\n"
          "stage_2_train_images/000db696.dcm,000db696,frontal,AP,M,7,Normal,0,none\n"
          "stage_2_train_images/00436515.dcm,00436515,frontal,AP,M,32,Lung Opacity,1,264 152 213 379; 562 152 "
          "256 "
          "453.5\n");
    CHECK_THAT(notes_of(read_set("rsna", folder.path())), Contains("1 images are not in the table"));
}

TEST_CASE("RSNA: without the table of classes there are labels and boxes all the same") {
    const TemporaryFolder folder;
    make(folder);
    std::filesystem::remove(folder / "stage_2_detailed_class_info.csv");
    const auto set = read_set("rsna", folder.path());
    CHECK(set.labels == std::vector<std::string>{"pneumonia"});
    CHECK(set.films[3].labels == std::vector<std::string>{"1"});
    CHECK(set.films[3].boxes == "264 152 213 379; 562 152 256 453.5");
    CHECK_THAT(notes_of(set), Contains("no stage_2_detailed_class_info.csv: there is no column 'class'"));
}

TEST_CASE("RSNA: ages that nobody has count as not known, with a note") {
    const TemporaryFolder folder;
    make(folder);
    write_dicom(folder / "stage_2_train_images/0004cfab.dcm",
                {.pixels = cv::Mat(8, 8, CV_8U, cv::Scalar(50)), .patient = "0004cfab", .age = "155"});
    auto set = read_set("rsna", folder.path());
    forget_impossible_ages(set);
    CHECK(set.films[1].age.empty());
    CHECK(set.films[2].age == "7");
    CHECK_THAT(notes_of(set),
               Contains("1 of 4 films has an age that is none from 0 to 120 years, such as 155"));
}

TEST_CASE("RSNA: contradicting targets, boxes without numbers and missing tables or films are errors") {
    const TemporaryFolder folder;
    make(folder);
    const auto with_rows = [&](const std::string& rows) {
        folder.write("stage_2_train_labels.csv", "patientId,x,y,width,height,Target\n" + rows);
        return complaint_of("rsna", folder.path());
    };
    CHECK_THAT(with_rows("0004cfab,,,,,0\n0004cfab,1,2,3,4,1\n"),
               Contains("labels.csv:3") && Contains("had 0 before"));
    CHECK_THAT(with_rows("0004cfab,1,2,,4,1\n"), Contains("labels.csv:2: found '' for a box"));
    CHECK_THAT(with_rows("0004cfab,,,,,2\n"), Contains("found Target '2'; expected 0 or 1"));
    CHECK_THAT(with_rows("absent,,,,,0\n"), Contains("absent.dcm") && Contains("--partial"));
    make(folder);
    std::filesystem::remove(folder / "stage_2_train_labels.csv");
    CHECK_THAT(complaint_of("rsna", folder.path()), Contains("expected stage_2_train_labels*.csv"));
}

}  // namespace images_rsna
