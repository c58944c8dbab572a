#include "images/import/sets.hpp"

namespace images_childcxr {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

void make(const TemporaryFolder& folder, const std::string& root) {
    for (const auto* name :
         {"train/NORMAL/IM-0115-0001.jpeg", "train/NORMAL/IM-0115-0001-0002.jpeg",
          "train/NORMAL/NORMAL2-IM-1427-0001.jpeg", "train/NORMAL/.DS_Store",
          "train/PNEUMONIA/person63_bacteria_306.jpeg", "train/PNEUMONIA/person63_bacteria_307.jpeg",
          "train/PNEUMONIA/person1059_virus_1763_0.jpeg", "val/NORMAL/NORMAL2-IM-1430-0001.jpeg",
          "val/PNEUMONIA/person1946_bacteria_4874.jpeg", "test/NORMAL/IM-0001-0001.jpeg",
          "test/PNEUMONIA/person63_virus_6.jpeg"})
        folder.write(root + name, "image");
}

const std::string manifest =
    "path,patient,view,label,abnormal,split\n"
    "train/NORMAL/IM-0115-0001-0002.jpeg,IM-0115,frontal,normal,0,train\n"
    "train/NORMAL/IM-0115-0001.jpeg,IM-0115,frontal,normal,0,train\n"
    "train/NORMAL/NORMAL2-IM-1427-0001.jpeg,NORMAL2-IM-1427,frontal,normal,0,train\n"
    "train/PNEUMONIA/person1059_virus_1763_0.jpeg,person1059,frontal,virus,1,train\n"
    "train/PNEUMONIA/person63_bacteria_306.jpeg,person63,frontal,bacteria,1,train\n"
    "train/PNEUMONIA/person63_bacteria_307.jpeg,person63,frontal,bacteria,1,train\n"
    "val/NORMAL/NORMAL2-IM-1430-0001.jpeg,NORMAL2-IM-1430,frontal,normal,0,val\n"
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg,person1946,frontal,bacteria,1,val\n"
    "test/NORMAL/IM-0001-0001.jpeg,IM-0001,frontal,normal,0,test\n"
    "test/PNEUMONIA/person63_virus_6.jpeg,person63,frontal,virus,1,test\n";

}  // namespace

TEST_CASE("ChildCXR: patients and the kind of pneumonia come from file names, the split from folders") {
    const TemporaryFolder folder;
    make(folder, "chest_xray/");
    CHECK(manifest_of("childcxr", folder / "chest_xray") == manifest);
    CHECK(manifest_text(read_set("childcxr", folder.path()), folder / "chest_xray") == manifest);
}

TEST_CASE("ChildCXR: Kaggle's second copy and the folders of a Mac are not taken for more images") {
    const TemporaryFolder folder;
    make(folder, "chest_xray/");
    make(folder, "chest_xray/chest_xray/");
    folder.write("chest_xray/__MACOSX/chest_xray/train/NORMAL/._IM-0115-0001.jpeg", "junk");
    folder.write("__MACOSX/chest_xray/train/NORMAL/._IM-0115-0001.jpeg", "junk");
    folder.write("chest_xray/train/NORMAL/._IM-0115-0001.jpeg", "junk");
    CHECK(manifest_text(read_set("childcxr", folder.path()), folder / "chest_xray") == manifest);
}

TEST_CASE("ChildCXR: Mendeley's later names, without val/") {
    const TemporaryFolder folder;
    touch(folder,
          {"chest_xray/train/NORMAL/NORMAL-1049278-0001.jpeg",
           "chest_xray/train/PNEUMONIA/BACTERIA-7422-0001.jpeg",
           "chest_xray/train/PNEUMONIA/BACTERIA-7422-0002.jpeg",
           "chest_xray/test/PNEUMONIA/VIRUS-7422-0001.jpeg", "chest_xray/test/NORMAL/NORMAL-4512-0001.jpeg"});
    const auto set = read_set("childcxr", folder.path());
    REQUIRE(set.films.size() == 5);
    CHECK(set.films[0].patient == "NORMAL-1049278");
    CHECK(set.films[1].patient == "BACTERIA-7422");
    CHECK(set.films[1].labels == std::vector<std::string>{"bacteria", "1"});
    CHECK(set.films[4].patient == "VIRUS-7422");
    CHECK(set.films[4].split == "test");
}

TEST_CASE("ChildCXR: strange names, names that contradict their folder and other layouts are errors") {
    const TemporaryFolder folder;
    make(folder, "");
    folder.write("train/NORMAL/copy of IM-0115-0001.jpeg", "image");
    CHECK_THAT(complaint_of("childcxr", folder.path()),
               Contains("copy of IM-0115-0001.jpeg: found a name of no known kind"));
    std::filesystem::remove(folder / "train/NORMAL/copy of IM-0115-0001.jpeg");
    folder.write("train/NORMAL/person9_virus_1.jpeg", "image");
    CHECK_THAT(complaint_of("childcxr", folder.path()), Contains("its name says virus, its folder NORMAL"));
    const TemporaryFolder other;
    touch(other, {"normal/a.png"});
    CHECK_THAT(complaint_of("childcxr", other.path()), Contains("found no train/NORMAL and train/PNEUMONIA"));
}

}  // namespace images_childcxr
