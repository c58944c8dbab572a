#include "images/import/sets.hpp"

namespace images_chexpert {

using namespace hearth;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string labels =
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n";
const std::string header = "Path,Sex,Age,Frontal/Lateral,AP/PA," + labels;

std::string train_rows(const std::string& prefix) {
    return header + prefix +
           "/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n" +
           prefix +
           "/train/patient00002/study2/"
           "view1_frontal.jpg,Female,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,\n" +
           prefix +
           "/train/patient00002/study1/view2_lateral.jpg,Unknown,83,Lateral,,,,,1.0,,,-1.0,,,,,,1.0,\n";
}
std::string valid_rows(const std::string& prefix) {
    return header + prefix +
           "/valid/patient64541/study1/"
           "view1_frontal.jpg,Male,73,Frontal,PA,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,"
           "0.0,0.0,0.0\n";
}

const std::string columns =
    "patient,study,view,projection,sex,age," + labels.substr(0, labels.size() - 1) + ",split\n";

}  // namespace

TEST_CASE("CheXpert: the small edition, from its own folder or the one above") {
    const TemporaryFolder folder;
    const std::string name = "CheXpert-v1.0-small";
    folder.write(name + "/train.csv", train_rows(name));
    folder.write(name + "/valid.csv", valid_rows(name));
    for (const auto* file :
         {"train/patient00001/study1/view1_frontal.jpg", "train/patient00002/study2/view1_frontal.jpg",
          "train/patient00002/study1/view2_lateral.jpg", "valid/patient64541/study1/view1_frontal.jpg"})
        folder.write(name + "/" + file, "image");
    const std::string manifest =
        "path," + columns +
        "train/patient00001/study1/"
        "view1_frontal.jpg,patient00001,study1,frontal,AP,F,68,1,,,,,,,,,0,,,,1,train\n"
        "train/patient00002/study2/"
        "view1_frontal.jpg,patient00002,study2,frontal,AP,F,87,,,,1,,,,,,,,,1,,train\n"
        "train/patient00002/study1/view2_lateral.jpg,patient00002,study1,lateral,,,83,,,,1,,,,,,,,,1,,train\n"
        "valid/patient64541/study1/"
        "view1_frontal.jpg,patient64541,study1,frontal,PA,M,73,0,1,0,0,0,0,0,0,0,0,0,0,0,0,"
        "val\n";
    CHECK(manifest_of("chexpert", folder / name) == manifest);
    CHECK(manifest_text(read_set("chexpert", folder.path()), folder / name) == manifest);
    const auto ones = read_set("chexpert", folder / name, {.folder = {}, .uncertain = Uncertain::ones});
    CHECK(ones.films[1].labels ==
          std::vector<std::string>{"", "", "1", "1", "", "1", "1", "", "1", "", "1", "", "1", ""});
}

TEST_CASE("CheXpert: the full edition lies in batches, and its test set has labels alone") {
    const TemporaryFolder folder;
    const std::string first = "CheXpert-v1.0 batch 1 (validate & csv)/",
                      second = "CheXpert-v1.0 batch 2 (train 1)/", third = "CheXpert-v1.0 batch 3 (train 2)/";
    folder.write(first + "train.csv", train_rows("CheXpert-v1.0"));
    folder.write(first + "valid.csv", valid_rows("CheXpert-v1.0"));
    folder.write(
        "test_labels.csv",
        "Path," + labels + "test/patient64741/study1/view1_frontal.jpg,0.0,0,0,0,0,0,0,0,0,0,1,0,0,1.0\n");
    folder.write(first + "valid/patient64541/study1/view1_frontal.jpg", "image");
    folder.write(second + "patient00001/study1/view1_frontal.jpg", "image");
    folder.write(third + "train/patient00002/study2/view1_frontal.jpg", "image");
    folder.write(third + "train/patient00002/study1/view2_lateral.jpg", "image");
    folder.write("test/patient64741/study1/view1_frontal.jpg", "image");
    const auto set = read_set("chexpert", folder.path());
    REQUIRE(set.films.size() == 5);
    CHECK(set.films[0].file == folder / (second + "patient00001/study1/view1_frontal.jpg"));
    CHECK(set.films[1].file == folder / (third + "train/patient00002/study2/view1_frontal.jpg"));
    CHECK(set.films[3].split == "val");
    CHECK(set.films[4].split == "test");
    CHECK(set.films[4].patient == "patient64741");
    CHECK(set.films[4].view == "frontal");
    CHECK(set.films[4].sex.empty());
    CHECK(set.films[4].labels[10] == "1");
}

TEST_CASE("CheXpert: missing images, paths without a patient and missing columns are errors") {
    const TemporaryFolder folder;
    folder.write("train.csv", train_rows("CheXpert-v1.0-small"));
    folder.write("train/patient00001/study1/view1_frontal.jpg", "image");
    CHECK_THAT(complaint_of("chexpert", folder.path()), Contains("2 of 3 images listed in train.csv") &&
                                                            Contains("patient00002/study2/view1_frontal.jpg"));
    CHECK(read_set("chexpert", folder.path(), {.folder = {}, .partial = true}).films.size() == 1);
    folder.write("train.csv", header + "train/a.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n");
    CHECK_THAT(complaint_of("chexpert", folder.path()), Contains("train.csv:2") && Contains("patient00001"));
    folder.write("train.csv", "Path,Sex\na,b\n");
    CHECK_THAT(complaint_of("chexpert", folder.path()), Contains("no column 'No Finding'"));
    const TemporaryFolder empty;
    CHECK_THAT(complaint_of("chexpert", empty.path()), Contains("found nothing; expected train*.csv"));
}

}  // namespace images_chexpert
