#include "images/import/sets.hpp"

namespace images_folder {

using namespace hearth;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("a folder: folders at the top are splits, the innermost is the label, the patient is in the path") {
    const TemporaryFolder folder;
    touch(folder, {"train/nodule/P1_a.png", "train/normal/P2_a.PNG", "valid/normal/P3_a.jpg",
                   "test/nodule/deep/P4.jpeg", "test/P5.png", "notes.txt"});
    CHECK(manifest_of("folder", folder.path(), {.folder = {}, .patient_pattern = "(P[0-9]+)"}) ==
          "path,patient,label,split\n"
          "test/P5.png,P5,,test\n"
          "test/nodule/deep/P4.jpeg,P4,deep,test\n"
          "train/nodule/P1_a.png,P1,nodule,train\n"
          "train/normal/P2_a.PNG,P2,normal,train\n"
          "valid/normal/P3_a.jpg,P3,normal,val\n");
}

TEST_CASE("a folder without splits, and one without labels") {
    const TemporaryFolder folder, flat;
    touch(folder, {"normal/1.png", "nodule/2.png"});
    CHECK(manifest_of("folder", folder.path()) == "path,label\nnodule/2.png,nodule\nnormal/1.png,normal\n");
    touch(flat, {"1.png", "2.dcm"});
    CHECK(manifest_of("folder", flat.path()) == "path,label\n1.png,\n2.dcm,\n");
}

TEST_CASE("a folder: patterns that match nothing or have no group are errors") {
    const TemporaryFolder folder;
    touch(folder, {"a/1.png"});
    const auto complaint = [&](const std::string& pattern) {
        return message_of<Error>(
            [&] { read_set("folder", folder.path(), {.folder = {}, .patient_pattern = pattern}); });
    };
    CHECK_THAT(complaint("(P[0-9]+)"), Contains("in none of the 1 paths, such as a/1.png"));
    CHECK_THAT(complaint("P[0-9]+"), Contains("found no group"));
    CHECK_THAT(complaint("(P"), Contains("--patient '(P'"));
    const TemporaryFolder empty;
    CHECK_THAT(complaint_of("folder", empty.path()), Contains("no image found"));
}

TEST_CASE("an unknown kind of data set names the nearest") {
    CHECK_THAT(message_of<RecipeError>([] { find_importer("chexprt"); }),
               Contains("did you mean 'chexpert'") && Contains("mimic-cxr-jpg"));
}

}  // namespace images_folder
